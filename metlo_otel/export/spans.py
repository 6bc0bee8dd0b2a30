"""Records as OpenTelemetry server spans, with attributes by the HTTP semantic conventions made when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from metlo_otel.core.processed import Processed, Session
from metlo_otel.core.record import Message, Record, fresh_id
from metlo_otel.reading.wire_text import text_of

_NO_RESOURCE = Resource({})
_SCOPE = InstrumentationScope("metlo_otel")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
_NOT_FOUND, _NOBODY = Processed(), Session()


class ExchangeSpan(ReadableSpan):
    """A server span made from a record, which it carries along with what was found in it."""

    def __init__(
        self,
        record: Record,
        processed: Processed = _NOT_FOUND,
        session: Session = _NOBODY,
        resource: Resource = _NO_RESOURCE,
    ) -> None:
        record = record if record.trace_id and record.span_id else _with_ids(record)
        self.record = record
        self.processed = processed
        self.session = session
        super().__init__(
            name=f"{record.method} {record.route}" if record.route else record.method,
            context=SpanContext(record.trace_id, record.span_id, False, _SAMPLED),
            parent=SpanContext(record.trace_id, record.parent_id, True, _SAMPLED) if record.parent_id else None,
            resource=resource,
            kind=SpanKind.SERVER,
            status=_ERROR if record.status >= 500 else _UNSET,
            start_time=record.started,
            end_time=record.ended,
            instrumentation_scope=_SCOPE,
        )

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The span's attributes by the semantic conventions, and `metlo.*` for what these do not name."""
        return MappingProxyType(self._made())

    def to_json(self, indent: int | None = 4) -> str:
        self._made()
        return str(super().to_json(indent))

    def _made(self) -> dict[str, Any]:
        if self._attributes is None:
            self._attributes: dict[str, Any] | None = attributes_of(self.record)
        return self._attributes


def span_of(record: Record) -> ReadableSpan:
    """The server span of a record, which is masked already; it gets fresh ids where the record has none."""
    return ExchangeSpan(record)


def _with_ids(record: Record) -> Record:
    """For a record that no request was read for."""
    return replace(record, trace_id=record.trace_id or fresh_id(16), span_id=record.span_id or fresh_id(8))


def attributes_of(record: Record) -> dict[str, Any]:
    """The attributes of a record's span. What is unknown is not there."""
    found: dict[str, Any] = {
        "http.request.method": record.method,
        "url.scheme": record.scheme,
        "url.path": quote(record.path, safe="/:@!$&'()*+,;=~", errors="replace"),
        "url.query": urlencode(record.query, errors="replace"),
        "network.protocol.name": "http",
        "network.protocol.version": record.protocol,
        "http.response.status_code": record.status,
        "http.route": record.route,
        "client.address": record.source[0],
        "client.port": record.source[1],
        "network.peer.address": record.forwarded,
        "network.local.address": record.destination[0],
        "network.local.port": record.destination[1],
        "user_agent.original": next(iter(record.request.header("user-agent")), None),
        "user.id": record.user,
        "metlo.host": record.host,
        "metlo.exchange.id": record.exchange_id,
        "metlo.blocked": record.verdict.blocked,
        "metlo.would_block": record.verdict.would_block or None,
        "metlo.rule.id": record.verdict.rule,
        "metlo.tags": record.verdict.tags or None,
        "metlo.incomplete": record.incomplete or None,
    }
    found.update(_server(record.host))
    found.update(_message("request", record.request))
    found.update(_message("response", record.response))
    return {name: value for name, value in found.items() if value is not None}


def _server(host: str) -> dict[str, Any]:
    try:
        parts = urlsplit("//" + host)
        return {"server.address": parts.hostname, "server.port": parts.port}
    except ValueError:
        return {"server.address": host}


def _message(side: str, message: Message) -> dict[str, Any]:
    """One side's headers, each name once with all its values, and its body: content only where it is text."""
    grouped: dict[str, list[str]] = {}
    for name, value in message.headers:
        grouped.setdefault(f"http.{side}.header.{name.lower()}", []).append(value)
    text = text_of(message)
    return {
        **{name: tuple(values) for name, values in grouped.items()},
        f"metlo.{side}.header_names": tuple([name for name, _ in message.headers]) or None,
        f"http.{side}.body.size": message.size,
        f"http.{side}.body.content": text or None,
        f"metlo.{side}.body.truncated": message.truncated,
    }
