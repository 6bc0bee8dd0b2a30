"""A raw exchange, read: everything is decoded here, once, in the worker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.record import Message, Pairs, Record, fresh_id
from metlo_otel.core.settings import Settings
from metlo_otel.core.tracing import traceparent
from metlo_otel.export.content import decoded
from metlo_otel.export.routes import template

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
        request=_request(exchange),
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
    )


def query_pairs(query: str) -> Pairs:
    """Names and values of a query string or form in their order, percent-decoded; the first thousand."""
    pieces = query.split("&", _MANY_PAIRS)[:_MANY_PAIRS]
    return tuple([_pair(piece) for piece in pieces if piece])


def _pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.replace("+", " ").partition("=")
    return unquote(name), unquote(value)


def _request(exchange: Exchange) -> Message:
    headers = tuple(exchange.request.headers())
    body = exchange.request_body
    return _message(headers, body, max(body.size, _declared(headers)))


def _response(exchange: Exchange) -> Message:
    headers = _headers(exchange.response_headers)
    body = exchange.response_body
    sent_around = body.size == 0 and exchange.request.method != "HEAD" and exchange.status not in _BODILESS
    return _message(headers, body, _declared(headers) if sent_around else body.size)


def _message(headers: Pairs, body: Body, size: int) -> Message:
    """What is left of a body whose encoding cannot be undone is its size: its bytes say nothing to anybody here."""
    encoding = ", ".join([value for name, value in headers if name.lower() == "content-encoding"])
    content = body.content()
    if not content or encoding.strip().lower() in ("", "identity"):
        return Message(headers, content, size)
    content, cut = decoded(content, encoding, body.limit) or (b"", True)
    return Message(headers, content, size, cut or size > body.kept)


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
