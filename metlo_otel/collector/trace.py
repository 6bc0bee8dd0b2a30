"""One received trace, checked: either a value whose fields can be relied on, or an error that says what and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from metlo_otel.collector.addresses import is_public
from metlo_otel.core.categories import own_detections
from metlo_otel.core.hosts import bare_host
from metlo_otel.core.record import METHODS

Places = Mapping[str, list[str]]

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
_SERVICE = ("service", "environment", "language")


class TraceError(ValueError):
    """A trace, or a document of sums, that cannot be stored: `where` is the path of the field, `reason` says what it
    should have been.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Found:
    """One category of attack in one field; what is not known is None."""

    field: str
    category: str
    confidence: str | None = None
    fragment: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """A checked trace. `version` is 1 (raw) or 2 (analysed by the agent), `document` the JSON to keep.

    `status` is 0 where nobody told it, `attacks` are the types that were found and `findings` where, `invalid` says by
    place how the answer differs from its description, `whole` is false for a trace that only counts a call,
    `authenticated` is None where nobody knows, `operations` are GraphQL's (`query.user`), `duration` is in µs,
    and `counted` says that the call is in sums that come by themselves. `service`, `environment` and `language` are of
    who answered, as OpenTelemetry's resources name them.
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
    document: bytes = field(repr=False)
    findings: tuple[Found, ...] = ()
    data_types: Places = field(default_factory=dict)
    sensitive: Places = field(default_factory=dict)
    media: tuple[str, str] = ("", "")
    operations: tuple[str, ...] = ()
    invalid: Places = field(default_factory=dict)
    authenticated: bool | None = None
    auth_type: str | None = None
    scheme: str | None = None
    rule: str | None = None
    trace_id: str | None = None
    duration: int | None = None
    counted: bool = False
    service: str | None = None
    environment: str | None = None
    language: str | None = None

    @property
    def public(self) -> bool:
        """Whether it came from the Internet."""
        return is_public(self.source)


def read_trace(item: Any, version: int) -> Trace:
    """Check a decoded trace of wire `version` 1 or 2. Raises TraceError."""
    return checked(item, version)


def checked(item: Any, version: int, unknown_status: bool = False) -> Trace:
    """The same; with `unknown_status` the response's may be 0."""
    trace = _object(item, "trace")
    request = _object(trace.get("request"), "request")
    url = _object(request.get("url"), "request.url")
    response = _object(trace.get("response"), "response")
    meta, session = _optional(trace, "meta"), _optional(trace, "sessionMeta")
    _check_message(request, "request")
    _check_message(response, "response")
    _pairs(url.get("parameters"), "request.url.parameters")
    found = _read_processed(trace, version)
    findings = _findings(found)
    return Trace(
        version=version,
        host=_host(url),
        method=_method(request),
        path=_path(url),
        route=_text(url, "endpointPath", "request.url"),
        status=_status(response, unknown_status),
        source=_text(meta, "source", "meta"),
        user=_text(request, "user", "request") or _text(session, "user", "sessionMeta"),
        session=_text(session, "uniqueSessionKey", "sessionMeta"),
        blocked=found.get("block") is True,
        attacks=tuple(sorted({finding.category for finding in findings})),
        redacted=trace.get("redacted") is True,
        whole=trace.get("analysisType") != "partial",
        document=_write({key: trace[key] for key in _KEPT if key in trace}),
        findings=findings,
        **_read_details(trace, found, meta, session, request),
    )


def _read_details(
    trace: Mapping[str, Any],
    found: Mapping[str, Any],
    meta: Mapping[str, Any],
    session: Mapping[str, Any],
    request: Mapping[str, Any],
) -> dict[str, Any]:
    """What agents tell when they can; a detail of the wrong kind counts as not told."""
    duration = meta.get("durationMicroseconds")
    provided = session.get("authenticationProvided")
    return {
        "data_types": found.get("dataTypes") or {},
        "sensitive": found.get("sensitiveDataDetected") or {},
        "media": (_told(found, "requestContentType") or "", _told(found, "responseContentType") or ""),
        "operations": _operations(trace, found),
        "invalid": _places(found.get("validationErrors")),
        "authenticated": provided if isinstance(provided, bool) else None,
        "auth_type": _told(session, "authType"),
        "scheme": _forwarded_scheme(request) or _told(meta, "scheme"),
        "rule": _told(meta, "ruleId"),
        "trace_id": _told(meta, "traceId"),
        "duration": duration if type(duration) is int and 0 <= duration < 2**62 else None,
        "counted": meta.get("counted") is True,
        **({name: _told(meta, name) for name in _SERVICE} if "service" in meta else {}),
    }


def _read_processed(trace: dict[str, Any], version: int) -> dict[str, Any]:
    if version == 1:
        return {}
    if trace.get("analysisType") not in ("full", "partial"):
        raise TraceError("analysisType", f"full or partial is expected, not {in_words(trace.get('analysisType'))}")
    found = _object(trace.get("processedTraceData"), "processedTraceData")
    for name in ("dataTypes", "sensitiveDataDetected", "attackDetections", "attackCategories"):
        _lists_of_names(found.get(name), f"processedTraceData.{name}")
    return found


def _findings(found: Mapping[str, Any]) -> tuple[Found, ...]:
    """What `attackDetections` tells, or `attackCategories` where our agent says more, with the confidence and fragment
    that `attackFragments` adds where it is there: `[{"key", "type", "confidence", "fragment"}]`.
    """
    detections = own_detections(found)
    if not detections:
        return ()
    more = found.get("attackFragments")
    details = {
        (item.get("key"), item.get("type")): item
        for item in (more if isinstance(more, list) else ())
        if isinstance(item, dict) and isinstance(item.get("key"), str) and isinstance(item.get("type"), str)
    }
    nothing: dict[str, Any] = {}
    return tuple(
        Found(key, kind, _told(detail, "confidence"), _told(detail, "fragment"))
        for key, kinds in detections.items()
        for kind in dict.fromkeys(kinds)
        for detail in (details.get((key, kind), nothing),)
    )


def _operations(trace: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """GraphQL's operations: `query.user` of `reqBody.query.user.__args.id`, or as a partial trace has it."""
    paths = found.get("graphqlPaths") or trace.get("graphqlPaths")
    if not isinstance(paths, list):
        return ()
    named = [path.removeprefix("reqBody.").removeprefix("reqQuery.") for path in paths if isinstance(path, str)]
    steps = [path.split(".", 2) for path in named]
    asked = (parts for parts in steps if len(parts) > 1 and parts[0] in ("query", "mutation", "subscription"))
    return tuple(dict.fromkeys(f"{parts[0]}.{parts[1]}" for parts in asked))


def _forwarded_scheme(request: Mapping[str, Any]) -> str | None:
    """What a proxy says of the connection that it took."""
    for header in request.get("headers") or ():
        if len(header["name"]) == 17 and header["name"].lower() == "x-forwarded-proto":
            scheme: str = header["value"].partition(",")[0].strip().lower()
            return scheme
    return None


def _places(value: Any) -> Places:
    """Texts by place; what is none is left out."""
    found = value if isinstance(value, dict) else {}
    return {
        place: [text for text in told if isinstance(text, str)] if isinstance(told, list) else []
        for place, told in found.items()
    }


def _told(holder: Mapping[str, Any], key: str) -> str | None:
    value = holder.get(key)
    return value if isinstance(value, str) and value else None


def _lists_of_names(value: Any, where: str) -> None:
    for section, names in ({} if value is None else _object(value, where)).items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TraceError(f"{where}.{section[:100]}", f"a list of texts is expected, not {in_words(names)}")


def _check_message(message: dict[str, Any], where: str) -> None:
    _pairs(message.get("headers"), f"{where}.headers")
    _text(message, "body", where)


def _pairs(value: Any, where: str) -> None:
    """Headers and parameters: a list of {"name": text, "value": text}, or null."""
    if value is None:
        return
    if not isinstance(value, list):
        raise TraceError(where, f"a list is expected, not {in_words(value)}")
    for index, pair in enumerate(value):
        if not (isinstance(pair, dict) and isinstance(pair.get("name"), str) and isinstance(pair.get("value"), str)):
            raise TraceError(f"{where}[{index}]", "an object with the texts name and value is expected")


def _host(url: dict[str, Any]) -> str:
    host = url.get("host")
    if isinstance(host, str) and host:
        return bare_host(host)
    raise TraceError("request.url.host", f"a text that is not empty is expected, not {in_words(host)}")


def _method(request: dict[str, Any]) -> str:
    method = request.get("method")
    if isinstance(method, str) and method.upper() in METHODS:
        return method.upper()
    raise TraceError("request.method", f"one of {', '.join(sorted(METHODS))} is expected, not {in_words(method)}")


def _path(url: dict[str, Any]) -> str:
    path = url.get("path")
    if isinstance(path, str) and path.startswith("/"):
        return path.partition("?")[0]
    raise TraceError("request.url.path", f"a path that starts with / is expected, not {in_words(path)}")


def _status(response: dict[str, Any], may_be_unknown: bool) -> int:
    status = response.get("status")
    if type(status) is int and (100 <= status <= 599 or (may_be_unknown and status == 0)):
        return status
    raise TraceError("response.status", f"a whole number from 100 to 599 is expected, not {in_words(status)}")


def _text(holder: dict[str, Any], key: str, where: str) -> str | None:
    value = holder.get(key)
    if value is None or isinstance(value, str):
        return value
    raise TraceError(f"{where}.{key}", f"a text is expected, not {in_words(value)}")


def _optional(trace: dict[str, Any], key: str) -> dict[str, Any]:
    return {} if trace.get(key) is None else _object(trace[key], key)


def _object(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise TraceError(where, f"an object is expected, not {in_words(value)}")


def _write(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError as problem:
        raise TraceError("trace", f"it cannot be written as JSON: {problem}") from problem


def in_words(value: Any) -> str:
    """A value in words, short enough for a message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
