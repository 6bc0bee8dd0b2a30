"""A raw exchange, read: its request once for whoever asks first, everything else in the worker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.query import pairs
from metlo_otel.core.record import Message, Pairs, Record, fresh_id
from metlo_otel.core.routes import template
from metlo_otel.core.settings import Settings
from metlo_otel.core.tracing import traceparent
from metlo_otel.reading.codings import codings, undo

_MANY_PAIRS = 1000
_BODILESS = (204, 304)


def read_exchange(exchange: Exchange, settings: Settings, guard: Guard) -> Record:
    """The record of a closed exchange, with fresh ids where it was part of no trace.

    The route may be a function of the framework's: it runs under `guard`.
    """
    request = exchange.request
    source, forwarded = settings.trusted_proxies.source(request)
    route = guard.run(exchange.route) if callable(exchange.route) else exchange.route
    parent = exchange.parent or (None if exchange.span else traceparent(request))
    context = exchange.span or parent
    return Record(
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        path=request.path,
        query=query_pairs(request.query),
        request=request_message(exchange),
        response=_response(exchange),
        status=exchange.status,
        source=source,
        destination=request.server,
        route=template(route) if isinstance(route, str) else None,
        forwarded=forwarded,
        user=exchange.user if exchange.user is None else str(exchange.user),
        protocol=request.protocol,
        exchange_id=exchange.id,
        trace_id=context.trace_id if context else fresh_id(16),
        span_id=exchange.span.span_id if exchange.span else fresh_id(8),
        parent_id=parent.span_id if parent else 0,
        started=exchange.started,
        ended=exchange.ended,
        verdict=exchange.verdict,
        incomplete=exchange.incomplete,
        raw_query=request.query,
        summed=exchange.summed,
        suspected=exchange.suspected,
    )


def query_pairs(query: str) -> Pairs:
    """Names and values of a query string or form in their order, percent-decoded; the first thousand."""
    return tuple(islice(pairs(query), _MANY_PAIRS))


def request_message(exchange: Exchange) -> Message:
    """The request's headers and body; what was read before is not read again."""
    body = exchange.request_body
    known = exchange.reading
    if known is not None and known[0] == (body.size, body.kept):
        message: Message = known[1]
        return message
    headers = tuple(exchange.request.headers())
    message = _message(headers, body, max(body.size, _declared(headers)))
    exchange.reading = (body.size, body.kept), message
    return message


def _response(exchange: Exchange) -> Message:
    headers = _headers(exchange.response_headers)
    body = exchange.response_body
    sent_around = body.size == 0 and exchange.request.method != "HEAD" and exchange.status not in _BODILESS
    return _message(headers, body, _declared(headers) if sent_around else body.size)


def _message(headers: Pairs, body: Body, size: int) -> Message:
    """A body whose encoding cannot be undone is told by its size alone; its bytes are inspected all the same."""
    content, partial = body.content(), body.size > body.kept
    applied = codings(value for name, value in headers if len(name) == 16 and name.lower() == "content-encoding")
    if not content or not applied:
        if len(content) <= body.limit:
            return Message(headers, content, size, partial=partial)
        return Message(headers, content[: body.limit], size, None, content, partial)
    undone, cut = undo(content, applied, body.limit) or (b"", True)
    return Message(headers, undone, size, cut or size > body.kept, content, partial)


def is_all_held(exchange: Exchange) -> bool:
    """Whether what was read ahead of the app is all of the request's body, as far as its length is known."""
    body = exchange.request_body
    declared = _declared(tuple([("Content-Length", value) for value in exchange.request.header("content-length")]))
    return body.kept >= declared if declared else body.kept < body.most or not body.most


def _declared(headers: Pairs) -> int:
    """What Content-Length says, if it can be believed at all: one whole number below a petabyte."""
    values = {value.strip() for name, value in headers if name.lower() == "content-length"}
    value = values.pop() if len(values) == 1 else ""
    return int(value) if re.fullmatch("[0-9]{1,15}", value) else 0


def _headers(raw: Iterable[Any]) -> Pairs:
    """Response headers as text; what is no pair at all is left out."""
    return tuple([(_text(item[0]), _text(item[1])) for item in raw if len(item) == 2])


def _text(raw: Any) -> str:
    """Bytes, or a text that stands for bytes (PEP 3333): read as UTF-8 where they are, else as latin-1."""
    if isinstance(raw, str):
        if raw.isascii():
            return raw
        try:
            return raw.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return raw
    if not isinstance(raw, bytes):
        return str(raw)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
