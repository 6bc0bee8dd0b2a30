"""A batch of spans, read: requests analysed as raw traces are, and the calls that services make to each other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import format_span_id, format_trace_id
from sqlalchemy import Connection, select

from metlo_otel.collector.arrival import Arrival
from metlo_otel.collector.otlp.peers import call_of
from metlo_otel.collector.otlp.records import operation_of, request_of
from metlo_otel.collector.otlp.spans import Batch, Span
from metlo_otel.collector.schema import TRACES
from metlo_otel.collector.services import ServiceCall
from metlo_otel.collector.trace import Trace, TraceError, checked
from metlo_otel.core.record import Message, Pairs, Record
from metlo_otel.export.wire import sendable_host, sendable_path
from metlo_otel.reading.wire_text import text_of

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

_MARK = "metlo.exchange.id"  # what our agent puts on the app's span: it reports that request itself
_OPERATIONS = 10_000  # GraphQL operations whose request may come in a later batch: spans within it end before it
_PART = 500  # trace ids in one query

Told = tuple[str, str, str]
"""Trace id, method and path of a request that an agent has reported."""


@dataclass(slots=True)
class Taken:
    """What a batch told: traces to store, and calls of services."""

    traces: list[Trace] = field(default_factory=list)
    calls: list[ServiceCall] = field(default_factory=list)


class Reader:
    """Reads batches, one at a time, in any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arrival = Arrival(store)
        self._operations: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, batch: Batch) -> Taken:
        """What is told by the spans; those that cannot be stored are noted in `batch` as rejected."""
        with self._lock:
            self._note_operations(batch.spans)
            taken = Taken(calls=[call for span in batch.spans if (call := call_of(span)) is not None])
            requests = [(span, record) for span in batch.spans if (record := request_of(span)) is not None]
            told = self._store.read(partial(_told, ids=sorted({record.trace_id for _, record in requests})))
            analyse = self._arrival.analyst()
            for span, record in requests:
                try:
                    taken.traces.append(self._trace(span, record, told, analyse))
                except TraceError as problem:
                    batch.reject(str(problem))
            return taken

    def _trace(
        self, span: Span, record: Record, told: set[Told], analyse: Callable[[dict[str, Any], Record], Trace]
    ) -> Trace:
        raw = _document(span, record)
        key = (raw["meta"]["traceId"], record.method, raw["request"]["url"]["path"])
        if _MARK in span.attributes or key in told:  # counted and analysed by who was in the app
            return checked(_placed(raw), 2, unknown_status=True)
        operation = operation_of(span) or self._operations.pop(record.trace_id, None)
        return analyse({**raw, **({"graphqlPaths": [operation]} if operation else {})}, record)

    def _note_operations(self, spans: Iterable[Span]) -> None:
        for span in spans:
            operation = operation_of(span)
            if operation and span.trace_id and request_of(span) is None:
                self._operations[span.trace_id] = operation
        while len(self._operations) > _OPERATIONS:
            self._operations.popitem(last=False)


def _told(connection: Connection, ids: Sequence[int]) -> set[Told]:
    """What agents have reported of these traces."""
    table, found = TRACES.c, set[Told]()
    for start in range(0, len(ids), _PART):
        part = [format_trace_id(number) for number in ids[start : start + _PART]]
        rows = select(table.trace_id, table.method, table.path).where(table.trace_id.in_(part), table.version == 2)
        found.update((trace, method, path) for trace, method, path in connection.execute(rows))
    return found


def _document(span: Span, record: Record) -> dict[str, Any]:
    """The raw trace of a request, in its plain form."""
    path = sendable_path(record.path)
    url: dict[str, Any] = {"host": sendable_host(record), "path": path, "parameters": _pairs(record.query)}
    if record.route:
        url["endpointPath"] = record.route
    return {
        "request": {"method": record.method, "url": url, "user": record.user, **_message(record.request)},
        "response": {"status": record.status, **_message(record.response)},
        "meta": {
            "incoming": True,
            "metloSource": "opentelemetry",
            "environment": _resource(span, "deployment.environment.name", "deployment.environment"),
            "service": _resource(span, "service.name"),
            "language": _resource(span, "telemetry.sdk.language"),
            "scheme": record.scheme,
            "source": record.source[0] or None,
            "sourcePort": record.source[1],
            "destination": record.destination[0] or None,
            "destinationPort": record.destination[1],
            "originalSource": record.forwarded,
            "requestBodySize": record.request.size,
            "responseBodySize": record.response.size,
            "traceId": format_trace_id(record.trace_id) if record.trace_id else None,
            "spanId": format_span_id(record.span_id) if record.span_id else None,
            "startedAt": record.started // 1_000_000,
            "durationMicroseconds": (record.ended - record.started) // 1000 if record.ended > record.started else None,
        },
    }


def _placed(raw: dict[str, Any]) -> dict[str, Any]:
    """A trace that counts nothing: it only tells which service answers at an endpoint."""
    meta = {**raw["meta"], "counted": True}
    return {**raw, "meta": meta, "processedTraceData": {"block": False}, "analysisType": "partial"}


def _message(message: Message) -> dict[str, Any]:
    return {"headers": _pairs(message.headers), "body": text_of(message) or ""}


def _pairs(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _resource(span: Span, *names: str) -> str | None:
    value = next((span.resource[name] for name in names if span.resource.get(name)), None)
    return value if isinstance(value, str) else None
