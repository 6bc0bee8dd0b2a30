"""OTLP in JSON: ids in hexadecimal, 64-bit integers as text or numbers, enums as numbers or names.

Source: the OTLP specification, "JSON Protobuf Encoding"; an OpenTelemetry Collector's file exporter writes one such
document a line.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from metlo_otel.collector.jsontext import JsonError, read_json
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
from metlo_otel.collector.trace import in_words

_KINDS = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}
_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_MOST = 2**64


def read_otlp_json(body: bytes) -> Batch:
    """The spans of a JSON ExportTraceServiceRequest. Raises OtlpError."""
    try:
        document = read_json(body)
    except JsonError as problem:
        raise OtlpError(str(problem)) from None
    if not isinstance(document, dict):
        raise OtlpError(f"an ExportTraceServiceRequest is a JSON object, not {in_words(document)}")
    batch = Batch()
    for group in _list(document, "resourceSpans"):
        _add_group(batch, group)
    return batch


def _add_group(batch: Batch, group: dict[str, Any]) -> None:
    scopes = [(_object(each, "scope"), _list(each, "spans")) for each in _list(group, "scopeSpans")]
    try:
        resource = _attributes(_object(group, "resource"), "resource")
    except SpanError as problem:
        batch.reject(str(problem), sum(len(spans) for _, spans in scopes))
        return
    for scope, spans in scopes:
        check_count(len(batch.spans) + batch.rejected, len(spans))
        name = scope.get("name")
        for span in spans:
            try:
                if (found := _span(resource, name if isinstance(name, str) else "", span)) is not None:
                    batch.spans.append(found)
            except SpanError as problem:
                batch.reject(str(problem))


def _span(resource: dict[str, Any], scope: str, span: dict[str, Any]) -> Span | None:
    kind, name = _enum(span.get("kind"), _KINDS, "kind"), span.get("name")
    attributes = _attributes(span, "span")
    if not has_use(kind, attributes):
        return None
    return Span(
        resource,
        scope,
        _id(span.get("traceId"), 16, "traceId"),
        _id(span.get("spanId"), 8, "spanId"),
        _id(span.get("parentSpanId"), 8, "parentSpanId"),
        name if isinstance(name, str) else "",
        kind,
        _time(span, "startTimeUnixNano"),
        _time(span, "endTimeUnixNano"),
        _enum(_object(span, "status", SpanError).get("code"), _CODES, "status.code"),
        attributes,
    )


def _list(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise OtlpError(f"{name} is a list of objects, not {in_words(value)}")
    return value


def _object(holder: dict[str, Any], name: str, error: type[OtlpError] | type[SpanError] = OtlpError) -> dict[str, Any]:
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise error(f"{name} is an object, not {in_words(value)}")
    return value


def _id(value: Any, length: int, name: str) -> int:
    if value in (None, ""):
        return 0
    try:
        raw = bytes.fromhex(value)
    except (TypeError, ValueError):
        raise SpanError(f"{name} is {length} bytes in hexadecimal, not {in_words(value)}") from None
    if len(raw) != length:
        raise SpanError(f"{name} has {length} bytes, not {len(raw)}")
    return int.from_bytes(raw, "big")


def _time(span: dict[str, Any], name: str) -> int:
    found = _integer(span.get(name, 0))
    if found is None or not 0 <= found < _MOST:
        raise SpanError(f"{name} is nanoseconds since 1970, not {in_words(span.get(name))}")
    return found


def _integer(value: Any) -> int | None:
    """A number, or its text, as proto3's JSON has those of 64 bits."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.lstrip("-").isdecimal():
        return int(value) if value.count("-") <= 1 else None
    return value if type(value) is int and abs(value) < _MOST else None


def _enum(value: Any, names: dict[str, int], name: str) -> int:
    found = names.get(value) if isinstance(value, str) and value in names else _integer(0 if value is None else value)
    if found is None:
        raise SpanError(f"{name} is a number, or one of {', '.join(names)}, not {in_words(value)}")
    return found


def _attributes(holder: dict[str, Any], what: str) -> dict[str, Any]:
    pairs = holder.get("attributes")
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise SpanError(f"attributes of a {what} are a list, not {in_words(pairs)}")
    check_attributes(pairs, what)
    return dict(_pair(pair, 0) for pair in pairs)


def _pair(pair: Any, depth: int) -> tuple[str, Any]:
    if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
        raise SpanError(f"an attribute is an object with key and value, not {in_words(pair)}")
    return pair["key"], _value(pair.get("value"), depth)


def _value(value: Any, depth: int) -> Any:
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        raise SpanError(f"a value is an object with one of stringValue, intValue and so on, not {in_words(value)}")
    ((kind, found),) = value.items()
    if kind in ("arrayValue", "kvlistValue"):
        return _values(kind, found, depth + 1)
    read = _READ.get(kind)
    if read is None:
        raise SpanError(f"a value has one of {', '.join(_READ)}, arrayValue and kvlistValue, not {in_words(kind)}")
    read_value = read(found)
    if read_value is None:
        raise SpanError(f"{kind} cannot be {in_words(found)}")
    return read_value


def _values(kind: str, found: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise SpanError(f"a value is nested at most {MAX_DEPTH} deep")
    items = found.get("values", []) if isinstance(found, dict) else None
    if not isinstance(items, list):
        raise SpanError(f"{kind} is an object with a list of values, not {in_words(found)}")
    if kind == "arrayValue":
        return [_value(item, depth) for item in items]
    return dict(_pair(item, depth) for item in items)


def _double(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _bytes(value: Any) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None


_READ = {
    "stringValue": lambda value: value if isinstance(value, str) else None,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    "intValue": _integer,
    "doubleValue": _double,
    "bytesValue": _bytes,
}
