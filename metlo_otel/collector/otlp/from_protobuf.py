"""OTLP in protobuf."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metlo_otel.collector.otlp.spans import (
    MAX_DEPTH,
    Batch,
    OtlpError,
    Span,
    SpanError,
    check_attributes,
    check_count,
    has_use,
)


def read_protobuf(body: bytes) -> Batch:
    """The spans of an encoded ExportTraceServiceRequest. Raises OtlpError."""
    try:
        return read_message(ExportTraceServiceRequest.FromString(body))
    except DecodeError as problem:
        raise OtlpError(f"the body is no ExportTraceServiceRequest: {problem}") from None


def read_message(request: Any) -> Batch:
    """The same of a decoded message."""
    batch = Batch()
    for group in request.resource_spans:
        try:
            resource = _attributes(group.resource.attributes, "resource")
        except SpanError as problem:
            batch.reject(str(problem), sum(len(scope.spans) for scope in group.scope_spans))
            continue
        for scope in group.scope_spans:
            check_count(len(batch.spans) + batch.rejected, len(scope.spans))
            for span in scope.spans:
                _add(batch, resource, scope.scope.name, span)
    return batch


def _add(batch: Batch, resource: dict[str, Any], scope: str, span: Any) -> None:
    try:
        check_attributes(span.attributes, "span")
        if has_use(span.kind, (pair.key for pair in span.attributes)):
            batch.spans.append(_span(resource, scope, span))
    except SpanError as problem:
        batch.reject(str(problem))


def _span(resource: dict[str, Any], scope: str, span: Any) -> Span:
    return Span(
        resource,
        scope,
        _id(span.trace_id, 16, "trace_id"),
        _id(span.span_id, 8, "span_id"),
        _id(span.parent_span_id, 8, "parent_span_id"),
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code,
        _attributes(span.attributes, "span"),
    )


def _id(raw: bytes, length: int, name: str) -> int:
    if len(raw) not in (0, length):
        raise SpanError(f"{name} has {length} bytes, not {len(raw)}")
    return int.from_bytes(raw, "big")


def _attributes(pairs: Any, holder: str) -> dict[str, Any]:
    check_attributes(pairs, holder)
    return {pair.key: _value(pair.value, 0) for pair in pairs}


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if depth >= MAX_DEPTH and kind in ("array_value", "kvlist_value"):
        raise SpanError(f"a value is nested at most {MAX_DEPTH} deep")
    if kind == "array_value":
        return [_value(item, depth + 1) for item in found.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in found.values}
    return found
