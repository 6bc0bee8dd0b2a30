"""OTLP documents as exporters send them, in JSON."""

from __future__ import annotations

from typing import Any

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def value(given: Any) -> dict[str, Any]:
    """An AnyValue: integers as text, as proto3's JSON has those of 64 bits."""
    if isinstance(given, bool):
        return {"boolValue": given}
    if isinstance(given, int):
        return {"intValue": str(given)}
    if isinstance(given, float):
        return {"doubleValue": given}
    if isinstance(given, list):
        return {"arrayValue": {"values": [value(item) for item in given]}}
    return {"stringValue": given}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes as a list of key and value."""
    return [{"key": name, "value": value(item)} for name, item in given.items()]


def server(path: str = "/users/7", route: str | None = "/users/:id", **more: Any) -> dict[str, Any]:
    """A server span by the new conventions; `more` replaces attributes, `__` standing for a dot."""
    named = {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": path,
        "server.address": "shop.example",
        "client.address": "192.0.2.7",
        "http.response.status_code": 200,
        **({"http.route": route} if route else {}),
        **{name.replace("__", "."): item for name, item in more.items()},
    }
    return span(2, {name: item for name, item in named.items() if item is not None})


def span(kind: Any, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A span of 20 ms with these attributes."""
    return {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "parentSpanId": "",
        "name": "GET",
        "kind": kind,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000020000000",
        "attributes": attributes(given),
        "status": {},
        **more,
    }


def document(*spans: dict[str, Any], service: str = "checkout", **resource: Any) -> dict[str, Any]:
    """An ExportTraceServiceRequest of one service."""
    named = {
        "service.name": service,
        "deployment.environment.name": "production",
        "telemetry.sdk.language": "nodejs",
        **{name.replace("__", "."): item for name, item in resource.items()},
    }
    scope = {"scope": {"name": "instrumentation"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": attributes(named)}, "scopeSpans": [scope]}]}
