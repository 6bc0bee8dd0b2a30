"""One received trace, checked: either a value whose fields can be relied on, or an error that says what and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"))
_KEPT = (
    "request",
    "response",
    "meta",
    "processedTraceData",
    "redacted",
    "sessionMeta",
    "encryption",
    "analysisType",
    "graphqlPaths",
)


class TraceError(ValueError):
    """A trace that cannot be stored: `where` is the path of the field, `reason` says what it should have been."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Trace:
    """A checked trace. `version` is 1 (raw) or 2 (analysed by the agent), `document` the JSON to keep.

    `attacks` are the types that the agent found, `whole` is false for a trace that only counts a call.
    """

    version: int
    host: str
    method: str
    path: str
    route: str | None
    status: int
    source: str | None
    user: str | None
    session: str | None
    blocked: bool
    attacks: tuple[str, ...]
    redacted: bool
    whole: bool
    document: bytes


def read_trace(item: Any, version: int) -> Trace:
    """Check a decoded trace of wire `version` 1 or 2. Raises TraceError."""
    trace = _object(item, "trace")
    request = _object(trace.get("request"), "request")
    url = _object(request.get("url"), "request.url")
    response = _object(trace.get("response"), "response")
    meta = _optional(trace, "meta")
    session = _optional(trace, "sessionMeta")
    _check_message(request, "request")
    _check_message(response, "response")
    _pairs(url.get("parameters"), "request.url.parameters")
    found = _read_processed(trace, version)
    return Trace(
        version=version,
        host=_host(url),
        method=_method(request),
        path=_path(url),
        route=_text(url, "endpointPath", "request.url"),
        status=_status(response),
        source=_text(meta, "source", "meta"),
        user=_text(request, "user", "request") or _text(session, "user", "sessionMeta"),
        session=_text(session, "uniqueSessionKey", "sessionMeta"),
        blocked=found.get("block") is True,
        attacks=_attacks(found),
        redacted=trace.get("redacted") is True,
        whole=trace.get("analysisType") != "partial",
        document=_write({key: trace[key] for key in _KEPT if key in trace}),
    )


def _read_processed(trace: dict[str, Any], version: int) -> dict[str, Any]:
    if version == 1:
        return {}
    if trace.get("analysisType") not in ("full", "partial"):
        raise TraceError("analysisType", f"full or partial is expected, not {_kind(trace.get('analysisType'))}")
    found = _object(trace.get("processedTraceData"), "processedTraceData")
    for name in ("dataTypes", "sensitiveDataDetected", "attackDetections"):
        _lists_of_names(found.get(name), f"processedTraceData.{name}")
    return found


def _attacks(found: dict[str, Any]) -> tuple[str, ...]:
    types = {kind for kinds in (found.get("attackDetections") or {}).values() for kind in kinds}
    return tuple(sorted(types))


def _lists_of_names(value: Any, where: str) -> None:
    for section, names in ({} if value is None else _object(value, where)).items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TraceError(f"{where}.{section[:100]}", f"a list of texts is expected, not {_kind(names)}")


def _check_message(message: dict[str, Any], where: str) -> None:
    _pairs(message.get("headers"), f"{where}.headers")
    _text(message, "body", where)


def _pairs(value: Any, where: str) -> None:
    """Headers and parameters: a list of {"name": text, "value": text}, or null."""
    if value is None:
        return
    if not isinstance(value, list):
        raise TraceError(where, f"a list is expected, not {_kind(value)}")
    for index, pair in enumerate(value):
        if not (isinstance(pair, dict) and isinstance(pair.get("name"), str) and isinstance(pair.get("value"), str)):
            raise TraceError(f"{where}[{index}]", "an object with the texts name and value is expected")


def _host(url: dict[str, Any]) -> str:
    host = url.get("host")
    if isinstance(host, str) and host:
        return host
    raise TraceError("request.url.host", f"a text that is not empty is expected, not {_kind(host)}")


def _method(request: dict[str, Any]) -> str:
    method = request.get("method")
    if isinstance(method, str) and method.upper() in METHODS:
        return method.upper()
    raise TraceError("request.method", f"one of {', '.join(sorted(METHODS))} is expected, not {_kind(method)}")


def _path(url: dict[str, Any]) -> str:
    path = url.get("path")
    if isinstance(path, str) and path.startswith("/"):
        return path.partition("?")[0]
    raise TraceError("request.url.path", f"a path that starts with / is expected, not {_kind(path)}")


def _status(response: dict[str, Any]) -> int:
    status = response.get("status")
    if type(status) is int and 100 <= status <= 599:
        return status
    raise TraceError("response.status", f"a whole number from 100 to 599 is expected, not {_kind(status)}")


def _text(holder: dict[str, Any], key: str, where: str) -> str | None:
    value = holder.get(key)
    if value is None or isinstance(value, str):
        return value
    raise TraceError(f"{where}.{key}", f"a text is expected, not {_kind(value)}")


def _optional(trace: dict[str, Any], key: str) -> dict[str, Any]:
    return {} if trace.get(key) is None else _object(trace[key], key)


def _object(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise TraceError(where, f"an object is expected, not {_kind(value)}")


def _write(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError as problem:
        raise TraceError("trace", f"it cannot be written as JSON: {problem}") from problem


def _kind(value: Any) -> str:
    """A value in words, short enough for a message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
