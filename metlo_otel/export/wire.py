"""The v2 trace: what a Metlo collector is sent of one exchange, and in which cases nothing is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from opentelemetry.trace import format_span_id, format_trace_id

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.aggregates import LANGUAGE
from metlo_otel.core.categories import known_detections
from metlo_otel.core.processed import Places, Processed, Session
from metlo_otel.core.record import METHODS, Pairs, Record
from metlo_otel.core.routes import bare, fits
from metlo_otel.core.settings import Settings
from metlo_otel.export.release import Release
from metlo_otel.reading.wire_text import text_of

Trace = dict[str, Any]
Encrypt = Callable[[Trace, str], Trace | None]

_NOT_IN_PATHS = re.compile(r"[\\?<>&=\x00-\x1f\x7f]")
_NOT_IN_HOSTS = re.compile(r"[\x00-\x20\x7f]")
_NOT_FOUND, _NOBODY = Processed(), Session()


class UnsendableError(Exception):
    """No trace can or may be sent of an exchange; `reason` is a word for the counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def trace_of(
    record: Record,
    config: AgentConfig,
    settings: Settings,
    processed: Processed = _NOT_FOUND,
    session: Session = _NOBODY,
    encrypt: Encrypt | None = None,
) -> Trace:
    """The v2 trace of a record that is masked already; raises UnsendableError where there can be none.

    Content that may not leave in clear leaves encrypted where `encrypt` can, else not at all (`redacted`).
    """
    return Wire(config, settings, encrypt).trace(record, processed, session)


class Wire:
    """Makes traces under one configuration."""

    def __init__(self, config: AgentConfig, settings: Settings, encrypt: Encrypt | None = None) -> None:
        self._environment = settings.environment
        self._service = {"service": settings.service_name, "language": LANGUAGE} if settings.service_name else {}
        self._release = Release(config, settings)
        self._encrypt = encrypt

    def trace(self, record: Record, processed: Processed = _NOT_FOUND, session: Session = _NOBODY) -> Trace:
        """As trace_of."""
        path = sendable_path(record.path)
        if reason := _unsendable(record) or self._release.withheld(record, path):
            raise UnsendableError(reason)
        release = self._release.content(record, path)
        if release == "redacted":
            return self._trace(record, path, processed, session, captured=False)
        trace = self._trace(record, path, processed, session, captured=True)
        if release == "plain":
            return trace
        encrypted = self._encrypt(trace, self._release.key) if self._encrypt else None
        return encrypted or self._trace(record, path, processed, session, captured=False)

    def _trace(self, record: Record, path: str, processed: Processed, session: Session, captured: bool) -> Trace:
        request_text, response_text = text_of(record.request), text_of(record.response)
        url: dict[str, Any] = {"host": sendable_host(record), "path": path}
        if record.route and fits(record.route, path):
            url["endpointPath"] = bare(record.route)
        url["parameters"] = _pairs(record.query) if captured else []
        return {
            "request": {
                "method": record.method.upper(),
                "url": url,
                "headers": _pairs(record.request.headers) if captured else [],
                "body": request_text or "" if captured else "",
                "user": record.user if captured else None,
            },
            "response": {
                "status": record.status,
                "headers": _pairs(record.response.headers) if captured else [],
                "body": response_text or "" if captured else "",
            },
            "meta": self._meta(record, request_text is None, response_text is None),
            "processedTraceData": _processed(record, processed, captured),
            "redacted": not captured,
            "sessionMeta": _session(record, session, captured),
            "analysisType": "partial" if processed.partial else "full",
            **({"graphqlPaths": list(processed.operations)} if processed.partial and processed.operations else {}),
        }

    def _meta(self, record: Record, binary_request: bool, binary_response: bool) -> dict[str, Any]:
        """Who and where, and what the schema leaves room for: true sizes, marks, and the ids of the span."""
        return {
            "environment": self._environment,
            **self._service,
            "incoming": True,
            "source": record.source[0],
            "sourcePort": record.source[1],
            "destination": record.destination[0],
            "destinationPort": record.destination[1],
            "originalSource": record.forwarded,
            "scheme": _scheme(record),
            "ruleId": record.verdict.rule,
            **({"incomplete": list(record.incomplete)} if record.incomplete else {}),
            **({"counted": True} if record.summed else {}),
            "requestBodySize": record.request.size,
            "requestBodyTruncated": record.request.truncated,
            "requestBodyBinary": binary_request,
            "responseBodySize": record.response.size,
            "responseBodyTruncated": record.response.truncated,
            "responseBodyBinary": binary_response,
            "exchangeId": record.exchange_id,
            "traceId": format_trace_id(record.trace_id) if record.trace_id else None,
            "spanId": format_span_id(record.span_id) if record.span_id else None,
            "startedAt": record.started // 1_000_000,
            "durationMicroseconds": max(record.ended - record.started, 0) // 1000,
        }


def _scheme(record: Record) -> str | None:
    """How the client spoke: what a proxy in front says of that, None where there is one that says nothing."""
    told = record.request.header("x-forwarded-proto")
    if told:
        return told[0].partition(",")[0].strip().lower()
    return None if record.request.header("x-forwarded-for") else record.scheme


def without_bodies(trace: Trace) -> Trace:
    """The trace without its bodies' content, for one that would be too large to send; their sizes stay."""
    meta = {**trace["meta"], "requestBodyTruncated": True, "responseBodyTruncated": True}
    empty = {name: {**trace[name], "body": ""} for name in ("request", "response")}
    return {**trace, **empty, "meta": meta}


def encode(trace: Mapping[str, Any]) -> bytes:
    """The trace as JSON. What is no text in UTF-8 (half a surrogate pair) becomes a question mark."""
    try:
        return orjson.dumps(trace)
    except TypeError:
        return orjson.dumps(_cleaned(trace))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_cleaned(str(name)): _cleaned(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else _cleaned(str(value))


def sendable_path(path: str) -> str:
    """The path in the form that the backend takes: characters that it cannot hold are percent-encoded."""
    path = path.encode("utf-8", "replace").decode("utf-8")
    path = _NOT_IN_PATHS.sub(lambda match: f"%{ord(match[0]):02X}", path)
    path = path if path.startswith("/") else "/" + path
    return re.sub("/{2,}", "/", path) if path.split("/")[1:].count("") > 1 else path


def sendable_host(record: Record) -> str:
    """The Host header without what no host can hold; where nothing is left, the address that the request came in on."""
    return host_of(record.host, record.destination[0])


def host_of(host: str, address: str) -> str:
    """The same of the header and the address."""
    return _NOT_IN_HOSTS.sub("", host) or _NOT_IN_HOSTS.sub("", address) or "unknown"


def _unsendable(record: Record) -> str | None:
    if record.method.upper() not in METHODS:
        return "method"
    return None if 100 <= record.status <= 599 else "status"


def _pairs(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _processed(record: Record, processed: Processed, captured: bool) -> dict[str, Any]:
    attacks = _places(processed.attacks)
    found: dict[str, Any] = {
        "block": record.verdict.blocked,
        "dataTypes": _places(processed.data_types),
        "sensitiveDataDetected": _places(processed.sensitive),
        "attackDetections": known_detections(attacks),
        "graphqlPaths": processed.graphql_paths,
        "validationErrors": processed.validation_errors,
        "requestTags": record.verdict.tags,
    }
    data = {name: _plain(value) for name, value in found.items()}
    if data["attackDetections"] != attacks:
        data["attackCategories"] = attacks
    if processed.fragments:  # what gave an attack away is content; how sure it is, is none
        data["attackFragments"] = [
            {"key": each.key, "type": each.category, "confidence": each.confidence}
            | ({"fragment": each.text} if captured else {})
            for each in processed.fragments
        ]
    data["requestContentType"] = record.request.content_type
    data["responseContentType"] = record.response.content_type
    return data


def _places(found: Places) -> dict[str, list[str]]:
    """Findings by keys that the backend takes: a name that is empty leaves its section, line breaks become spaces."""
    if all(key.isprintable() and not key.endswith(".") for key in found):
        return {key: list(names) for key, names in found.items()}
    places: dict[str, list[str]] = {}
    for key, names in found.items():
        place = places.setdefault(" ".join(key.splitlines()).rstrip(".") or key, [])
        place.extend(name for name in names if name not in place)
    return places


def _plain(value: Any) -> Any:
    """Mappings and sequences as JSON writers take them."""
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple | frozenset) else value


def _session(record: Record, session: Session, captured: bool) -> dict[str, Any]:
    return {
        "authenticationProvided": session.provided,
        "authenticationSuccessful": session.successful,
        "authType": session.kind,
        "uniqueSessionKey": session.key,
        "user": session.user if captured else None,
        "userAgent": next(iter(record.request.header("user-agent")), None),
    }
