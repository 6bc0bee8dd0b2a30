"""The whole document: every call, its parameters as the queries know them, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metlo_otel.collector import queries
from metlo_otel.collector.described.schemas import FLAG, SCHEMAS, TEXT, WHOLE, Schema, named
from metlo_otel.collector.queries.endpoints import SORTS
from metlo_otel.collector.queries.filters import Filter, OneOf, boolean, number
from metlo_otel.core.version import __version__

_JSON, _PLAIN, _PROTOBUF = "application/json", "text/plain", "application/x-protobuf"
_SORTED = {
    "endpoints": SORTS,
    "actors": ("attacks", "seen", "calls"),
    "services": ("calls",),
    "alerts": ("severity", "seen", "new"),
}
_WHAT = {
    "limit": f"How many, from 1 to {queries.LARGEST_PAGE} (default: {queries.DEFAULT_PAGE}).",
    "total": "Whether to count all pages.",
    "offset": "Where the page begins: the `next` of the one before.",
    "before": "With an id smaller than this: the `next` of the page before.",
    "after": "With an id larger than this.",
    "since": "From this moment on, in milliseconds since 1970.",
    "until": "Before this moment, in milliseconds since 1970.",
    "status": "`404`, a class such as `5xx`, or a comparison such as `>=400`.",
    "path": "With this in it.",
    "q": "A search as the dashboard has it: `status:5xx path:/api/* -user:anna`.",
}


def describe() -> dict[str, Any]:
    """The description, JSON-ready; made anew with each call."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The metlo-otel collector",
            "version": __version__,
            "description": "What agents send and ask, and what programs read. Errors are JSON with a sentence.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {**_health(), **_agents(), **_lists(), **_rest()},
        "components": {"schemas": SCHEMAS, "securitySchemes": _KEYS},
    }


_KEYS: dict[str, Schema] = {
    "agent": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A key of agents, bare; for OTLP also after `Bearer`, or in `api-key`.",
    },
    "reader": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A key or token for reading, bare or after `Bearer`; an agent's key is none.",
    },
}


def _health() -> dict[str, Any]:
    healthy = {200: ("It is.", named("Health")), 503: ("It is not; `checks` says what.", named("Health"))}
    return {
        "/healthz": {"get": _call("Whether it runs, or only a restart helps.", healthy)},
        "/readyz": {"get": _call("Whether it could store something now.", healthy)},
        "/metrics": {"get": _call("Its metrics, for Prometheus.", {200: ("Metrics.", _PLAIN)}, "reader")},
    }


def _agents() -> dict[str, Any]:
    ok = {200: ("It is.", _PLAIN)}
    config = {200: ("The configuration; ETag and Cache-Control say when to ask again.", {"type": "object"})}
    stored = {
        200: ("All is on the disk; or JSON that says what was not taken.", (_PLAIN, named("Outcome"))),
        400: ("Nothing of it can be read or stored.", named("Error")),
        413: ("The body is larger than 2,097,152 bytes, decoded.", named("Error")),
        415: ("It is no JSON, or in an encoding but gzip and deflate.", named("Error")),
        503: ("Not now; Retry-After says when.", named("Error")),
    }
    form = [_in_path("version", {"enum": ["1", "2"]}), _in_path("form", {"enum": ["single", "batch"]})]
    one_or_many = {"oneOf": [named("SentTrace"), {"type": "array", "items": named("SentTrace")}]}
    log = _call("Take one trace, or an array of them; version 1 is analysed on arrival.", stored, "agent", one_or_many)
    sums = _call("Take what an agent counted in a second.", stored, "agent", named("Aggregates"))
    changed = {**config, 304: ("It is the one of If-None-Match.", None)}
    return {
        "/api/v1": {"get": _call("Whether there is a collector.", ok)},
        "/api/v1/verify": {"get": _call("Whether the key is one of agents.", ok, "agent")},
        "/api/v1/agent-config": {"get": _call("What agents are to do.", changed, "agent")},
        "/api/v{version}/log-request/{form}": {"post": {**log, "parameters": form}},
        "/api/v1/aggregates": {"post": sums},
        "/v1/traces": {"post": _otlp(stored)},
    }


def _otlp(stored: dict[int, Any]) -> dict[str, Any]:
    """OTLP/HTTP 1.x: protobuf needs the extra otlp."""
    taken = {200: ("All spans are on the disk but those that `partialSuccess` tells of.", {"type": "object"})}
    call = _call("Take spans, as OTLP has it.", {**stored, **taken}, "agent", {"type": "object"})
    call["requestBody"]["content"][_PROTOBUF] = {}
    for answer in call["responses"].values():
        answer["content"] = {_JSON: {"schema": {"type": "object"}}, _PROTOBUF: {}}
    return call


def _lists() -> dict[str, Any]:
    lists: dict[str, tuple[str, str, Mapping[str, Filter]]] = {
        "traces": ("Trace", "Traces, newest first.", queries.TRACE_FILTERS),
        "endpoints": ("Endpoint", "Endpoints.", queries.ENDPOINT_FILTERS),
        "attacks": ("Attack", "Attacks, newest first, one item for each kind in each field.", queries.ATTACK_FILTERS),
        "actors": ("Actor", "Who called.", queries.ACTOR_FILTERS),
        "services": ("Service", "Services that report by OpenTelemetry, most calls first.", queries.SERVICE_FILTERS),
        "alerts": ("Alert", "Alerts.", queries.ALERT_FILTERS),
    }
    return {f"/api/v1/{name}": {"get": _list(name, *each)} for name, each in lists.items()}


def _list(name: str, schema: str, summary: str, filters: Mapping[str, Filter]) -> dict[str, Any]:
    answers = {200: ("A page.", _page(schema)), 400: ("A parameter is wrong.", named("Error"))}
    asked: dict[str, Schema] = {"limit": {**WHOLE, "minimum": 1, "maximum": queries.LARGEST_PAGE}, "total": FLAG}
    if sorts := _SORTED.get(name):
        asked |= {"sort": {"enum": list(sorts)}, "offset": WHOLE}
    asked |= {known: _schema(each) for known, each in filters.items()}
    parameters = [
        {"name": known, "in": "query", "schema": each, **({"description": _WHAT[known]} if known in _WHAT else {})}
        for known, each in asked.items()
    ]
    return {**_call(summary, answers, "reader"), "parameters": parameters}


def _rest() -> dict[str, Any]:
    found = {
        200: ("The trace.", named("TraceWithContent")),
        400: ("The id is no number.", named("Error")),
        404: ("It is not kept, or never was.", named("Error")),
    }
    calls = {200: ("Who called whom, most calls first.", _page("ServiceCall"))}
    itself = {200: ("OpenAPI 3.1.", {"type": "object"})}
    one = _call("One trace, whole.", found, "reader")
    return {
        "/api/v1/traces/{id}": {"get": {**one, "parameters": [_in_path("id", WHOLE)]}},
        "/api/v1/service-calls": {"get": _call("Which service called which.", calls, "reader")},
        "/api/v1/openapi.json": {"get": _call("This description.", itself)},
    }


def _schema(asked: Filter) -> Schema:
    if asked.read is number:
        return WHOLE
    if isinstance(asked.read, OneOf):
        return {"enum": list(asked.read.words)}
    return FLAG if asked.read is boolean else TEXT


def _page(schema: str) -> Schema:
    items = {"type": "array", "items": named(schema)}
    properties = {"items": items, "next": {"type": ["integer", "null"]}, "total": WHOLE}
    return {"type": "object", "properties": properties, "required": ["items", "next"], "additionalProperties": False}


def _in_path(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _call(
    summary: str, answers: Mapping[int, tuple[str, Any]], key: str | None = None, body: Schema | None = None
) -> dict[str, Any]:
    """An operation; `answers` are by status: in words, and as a schema of JSON, a media type, or nothing."""
    told = dict(answers)
    if key is not None:
        told[401] = "The key is not valid.", _PLAIN if summary.startswith("Whether the key") else named("Error")
    if key == "reader":
        told[403] = "The token is not for reading this.", named("Error")
    call: dict[str, Any] = {
        "summary": summary,
        "responses": {str(status): _answer(*each) for status, each in sorted(told.items())},
        "security": [] if key is None else [{key: []}],
    }
    if body is not None:
        call["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    return call


def _answer(words: str, content: Any) -> dict[str, Any]:
    each = content if isinstance(content, tuple) else () if content is None else (content,)
    media = dict(_media(one) for one in each)
    return {"description": words, **({"content": media} if media else {})}


def _media(content: str | Schema) -> tuple[str, dict[str, Any]]:
    return (content, {}) if isinstance(content, str) else (_JSON, {"schema": content})
