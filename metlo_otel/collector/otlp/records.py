"""Spans as records: HTTP requests by the old and new semantic conventions and as vendors write them, and RPC calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metlo_otel.collector.otlp.routes import alone, template
from metlo_otel.collector.otlp.spans import ERROR, SERVER, Span
from metlo_otel.core.hosts import bare_host
from metlo_otel.core.record import METHODS, Message, Record
from metlo_otel.export.span_reading import http_record

Attributes = Mapping[str, Any]

# Beside the conventions' `http.request.body.content`: Hypertrace, Traceable and Helios, and Elastic.
_BODIES = ("http.{}.body.content", "http.{}.body", "http.{}.body.original")
_HEADERS = "http.{}.headers"  # a JSON object of them: Helios, Aspecto and Lumigo
_MAX_TEXT = 256 * 1024  # characters of a body that are looked at
# google.rpc.Code as HTTP statuses, as its comments in google/rpc/code.proto have it
_RPC_CODES = {
    "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip
_RPC_STATUSES = list(_RPC_CODES.values())


def request_of(span: Span) -> Record | None:
    """The request that a server span tells of; None for spans of other kinds, and of neither HTTP nor RPC."""
    if span.kind != SERVER:
        return None
    found = span.attributes
    record = _rpc(span) if _text(found, "rpc.system", "rpc.system.name") else _http(span)
    if record is None:
        return None
    if 0 < record.status < 100 or record.status > 599:
        record = replace(record, status=0)
    host = bare_host(record.host) or _text(span.resource, "service.name") or "unknown"
    source, destination = ((bare_host(name), port) for name, port in (record.source, record.destination))
    return replace(record, host=host, source=source, destination=destination)


def _http(span: Span) -> Record | None:
    found = span.attributes
    record = http_record(found)
    if record is None:
        return None
    if not record.source[0] and (peer := _text(found, "peer.address", "peer.ipv4")):  # Envoy, OpenTracing
        record = replace(record, source=(peer, record.source[1]))
    method = record.method.upper()
    if method not in METHODS:
        return None
    return _with_ids(
        span,
        replace(
            record,
            method=method,
            request=_message(record.request, found, "request"),
            response=_message(record.response, found, "response"),
            **_place(span, record),
        ),
    )


def _place(span: Span, record: Record) -> dict[str, Any]:
    """Path and route. Where no path is told, the route is it: of the attribute, else in the name (`GET /users/:id`)."""
    route = _text(span.attributes, "http.route")
    is_told = any(name in span.attributes for name in ("url.path", "url.full", "http.url", "http.target"))
    if is_told:
        return {"route": template(route, record.path) if route else None}
    named = route or span.name.partition(" ")[2].strip()
    found = alone(named) if route or named.startswith("/") else None
    return {"path": found or "/", "route": found}


def _message(message: Message, found: Attributes, side: str) -> Message:
    headers = message.headers
    if not headers:
        headers = tuple(_listed(_text(found, _HEADERS.format(side))))
    if message.body:
        return replace(message, headers=headers)
    given = next((found[name] for each in _BODIES if found.get(name := each.format(side)) is not None), b"")
    body = _bytes(given)
    return replace(message, headers=headers, body=body[:_MAX_TEXT], size=max(message.size, len(body)))


def _bytes(given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode("utf-8", "replace")
    return json.dumps(given, default=str).encode("utf-8", "replace")


def _listed(text: str | None) -> list[tuple[str, str]]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    each = [(name, value if isinstance(value, list) else [value]) for name, value in found.items()]
    return [(name, value) for name, values in each for value in values if isinstance(value, str)]


def _rpc(span: Span) -> Record | None:
    """A remote procedure call, as HTTP/2 carries gRPC's: `POST /package.Service/Method`."""
    found = span.attributes
    service, method = _text(found, "rpc.service"), _text(found, "rpc.method") or span.name
    called = f"{service}/{method}" if service and not method.startswith(service) else method
    path = "/" + called.lstrip("/")
    as_http = http_record({**found, "http.request.method": "POST", "url.path": path})
    if as_http is None or path == "/":
        return None
    status = _rpc_status(span)
    return _with_ids(span, replace(as_http, method="POST", path=path, query=(), route=path, status=status))


def _rpc_status(span: Span) -> int:
    names = ("rpc.grpc.status_code", "rpc.response.status_code", "rpc.connect_rpc.error_code")
    text = (_text(span.attributes, *names) or "").upper()
    if text.isdecimal() and int(text) < len(_RPC_STATUSES):
        return _RPC_STATUSES[int(text)]
    return _RPC_CODES.get(text, 500 if span.status == ERROR else 0)


def operation_of(span: Span) -> str | None:
    """The GraphQL operation that a span executes, as the inventory names it (`query.user`)."""
    found = span.attributes
    kind = (_text(found, "graphql.operation.type") or "").lower()
    if kind not in ("query", "mutation", "subscription"):
        return None
    return f"{kind}.{_text(found, 'graphql.operation.name') or 'anonymous'}"


def _with_ids(span: Span, record: Record) -> Record:
    return replace(
        record,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        started=span.started,
        ended=span.ended,
    )


def _text(found: Attributes, *names: str) -> str | None:
    value = next((found[name] for name in names if found.get(name) is not None), None)
    return None if value is None or isinstance(value, bytes | list | dict) else str(value)
