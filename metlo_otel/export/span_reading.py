"""Server spans of any instrumentation, by the old or the new HTTP semantic conventions, read back into records."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from metlo_otel.core.exchange import PASS, Verdict
from metlo_otel.core.record import Message, Pairs, Record
from metlo_otel.core.request import Address
from metlo_otel.core.routes import template
from metlo_otel.reading.record import query_pairs
from metlo_otel.reading.wire_text import charset_of

Attributes = Mapping[str, Any]


def record_of(span: ReadableSpan) -> Record | None:
    """The record that a server span tells of; None for spans of other kinds and those that are not about HTTP."""
    record = http_record(span.attributes or {}) if span.kind is SpanKind.SERVER else None
    if record is None:
        return None
    context = span.get_span_context()
    return replace(
        record,
        trace_id=context.trace_id if context else 0,
        span_id=context.span_id if context else 0,
        parent_id=span.parent.span_id if span.parent else 0,
        started=span.start_time or 0,
        ended=span.end_time or 0,
    )


def http_record(found: Attributes) -> Record | None:
    """The same of a span's attributes alone; None where they are not about HTTP."""
    method = _first(found, "http.request.method_original", "http.request.method", "http.method")
    if not isinstance(method, str):
        return None
    url = _url(found)
    route = _first(found, "http.route")
    return Record(
        method=method,
        scheme=str(_first(found, "url.scheme", "http.scheme") or url.scheme or "http"),
        host=_host(found, url.netloc),
        path=unquote(str(_first(found, "url.path") or url.path or "/")),
        query=query_pairs(str(_first(found, "url.query") or url.query)),
        request=_message(found, "request"),
        response=_message(found, "response"),
        status=_number(found, "http.response.status_code", "http.status_code") or 0,
        source=_source(found),
        destination=_destination(found),
        route=template(route) if isinstance(route, str) else None,
        forwarded=_text(found, "network.peer.address") if "client.address" in found else None,
        user=_text(found, "user.id", "enduser.id"),
        protocol=str(_first(found, "network.protocol.version", "http.flavor") or "1.1"),
        exchange_id=_text(found, "metlo.exchange.id"),
        verdict=_verdict(found),
        incomplete=tuple(_values(found, "metlo.incomplete")),
    )


def _first(found: Attributes, *names: str) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _text(found: Attributes, *names: str) -> str | None:
    value = _first(found, *names)
    return None if value is None else str(value)


def _number(found: Attributes, *names: str) -> int | None:
    value = _first(found, *names)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _url(found: Attributes) -> Any:
    """What the older conventions say of the URL, split."""
    target = str(_first(found, "url.full", "http.url") or "")
    if "http.target" in found:
        target = target or "//" + str(_first(found, "http.host") or "") + str(found["http.target"])
    try:
        return urlsplit(target)
    except ValueError:
        return urlsplit("")


def _host(found: Attributes, netloc: str) -> str:
    header = _first(found, "metlo.host", "http.host") or next(iter(_values(found, "http.request.header.host")), "")
    if header:
        return str(header)
    name = _text(found, "server.address", "http.server_name", "net.host.name") or ""
    port = _number(found, "server.port", "net.host.port")
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    if name and port not in (None, 80, 443):
        return f"{name}:{port}"
    return name or netloc.rpartition("@")[2]


def _source(found: Attributes) -> Address:
    name = _text(found, "client.address", "http.client_ip", "net.sock.peer.addr", "net.peer.ip", "network.peer.address")
    return name or "", _number(found, "client.port", "net.sock.peer.port", "net.peer.port")


def _destination(found: Attributes) -> Address:
    name = _text(found, "network.local.address", "net.sock.host.addr", "net.host.ip", "server.address", "net.host.name")
    return name or "", _number(found, "network.local.port", "net.sock.host.port", "net.host.port", "server.port")


def _verdict(found: Attributes) -> Verdict:
    verdict = Verdict(
        found.get("metlo.blocked") is True,
        _text(found, "metlo.rule.id"),
        tuple(_values(found, "metlo.tags")),
        found.get("metlo.would_block") is True,
    )
    return PASS if verdict == PASS else verdict


def _message(found: Attributes, side: str) -> Message:
    headers = _headers(found, side)
    charset = charset_of(Message(headers).content_type) or "utf-8"
    content = found.get(f"http.{side}.body.content")
    body = content.encode(charset, "replace") if isinstance(content, str) else b""
    size = _number(found, f"http.{side}.body.size", f"http.{side}_content_length")
    cut = found.get(f"metlo.{side}.body.truncated")
    return Message(headers, body, len(body) if size is None else size, cut if isinstance(cut, bool) else None)


def _headers(found: Attributes, side: str) -> Pairs:
    """The headers in their own order and case where the span says these, else as the conventions name them."""
    prefix = f"http.{side}.header."
    names = found.get(f"metlo.{side}.header_names")
    if isinstance(names, Sequence) and not isinstance(names, str):
        left = {name: deque(_values(found, prefix + name)) for name in {str(name).lower() for name in names}}
        return tuple([(str(name), left[str(name).lower()].popleft()) for name in names if left[str(name).lower()]])
    keys = [key for key in found if key.startswith(prefix)]
    headers = [(key[len(prefix) :].replace("_", "-"), value) for key in keys for value in _values(found, key)]
    agent = _text(found, "user_agent.original", "http.user_agent") if side == "request" else None
    if agent is not None and all(name.lower() != "user-agent" for name, _ in headers):
        headers.append(("user-agent", agent))
    return tuple(headers)


def _values(found: Attributes, name: str) -> list[str]:
    value = found.get(name)
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, Sequence) else []
