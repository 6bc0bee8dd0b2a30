"""OpenAPI 3.1 descriptions of hosts, made of what was observed (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, select

from metlo_otel.analysis.openapi_spec import OPERATIONS
from metlo_otel.collector.configuration import read_parts
from metlo_otel.collector.facts import read_facts
from metlo_otel.collector.learnt import Fact
from metlo_otel.collector.observed import Field, Formats, fields_of, schema_of
from metlo_otel.collector.samples import parameter_formats, read_formats, read_paths
from metlo_otel.collector.schema import ENDPOINTS
from metlo_otel.core.agent_config import Authentication, parse_agent_config

_METHODS = tuple([method.upper() for method in OPERATIONS])
_MEDIA = re.compile(r"[\w.+-]{1,100}/[\w.+*-]{1,100}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEGMENT = re.compile(r"\{([^{}/]*)\}")
_SCHEME = "observed"
# What clients, servers and proxies add by themselves says nothing of an API; the first three OpenAPI leaves out itself.
_UNSPOKEN = frozenset(
    "accept content-type authorization host user-agent accept-encoding accept-language connection content-length "
    "cookie origin referer cache-control pragma upgrade-insecure-requests dnt te transfer-encoding date server "
    "set-cookie vary keep-alive via forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port "
    "x-real-ip traceparent tracestate baggage".split()
)
_UNSPOKEN_PREFIXES = ("sec-", "x-amzn-", "cf-")


@dataclass(frozen=True, slots=True)
class Observed:
    """An endpoint with all that is known of it."""

    method: str
    path: str
    operations: tuple[str, ...]
    facts: frozenset[Fact]
    formats: Mapping[str, str]
    paths: Sequence[str]

    @property
    def flags(self) -> set[str]:
        """What is known of the endpoint as a whole."""
        return {fact.name for fact in self.facts if fact.kind == "flag"}

    @property
    def statuses(self) -> set[int]:
        """What the app answered with; nothing where all requests were blocked."""
        return {fact.status for fact in self.facts if fact.status}


def describe_host(connection: Connection, host: str) -> dict[str, Any] | None:
    """The description of a (mapped) host; None where its app was not seen to answer."""
    observed = _read(connection, host)
    if not observed:
        return None
    config = parse_agent_config(read_parts(connection), lambda _problem: None)
    authentication = next((each for each in config.authentication if each.host == host), None)
    paths: dict[str, dict[str, Any]] = {}
    for each in observed:
        template, parameters = _template(each)
        item = paths.setdefault(template, {"parameters": parameters} if parameters else {})
        item[each.method.lower()] = _operation(each)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": host, "version": "observed", "description": "Made of observed requests and responses."},
        "servers": [{"url": f"{_scheme(observed)}://{quote(host, safe=':[]')}"}],
        "paths": paths,
    }
    if any(
        "security" in operation for item in paths.values() for operation in item.values() if "security" in operation
    ):
        document["components"] = {"securitySchemes": {_SCHEME: _security_scheme(authentication)}}
    return document


def describe_endpoint(connection: Connection, endpoint: int) -> dict[str, Any] | None:
    """The `paths` of a description with one endpoint; None where there is none that answered, or one that OpenAPI
    cannot name.
    """
    table = ENDPOINTS.c
    row = connection.execute(
        select(table.method, table.path, table.operation).where(table.id == endpoint)
    ).one_or_none()
    if row is None or row.method not in _METHODS:
        return None
    observed = _observe(connection, endpoint, row.method, row.path, row.operation)
    if not observed.statuses:
        return None
    template, parameters = _template(observed)
    item = {"parameters": parameters} if parameters else {}
    return {template: {**item, row.method.lower(): _operation(observed)}}


def to_yaml(document: Mapping[str, Any]) -> str:
    """A description as YAML, in the same order."""
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def _read(connection: Connection, host: str) -> list[Observed]:
    """The endpoints of a host, those that are one for OpenAPI together; templates of frameworks before guesses."""
    table = ENDPOINTS.c
    rows = select(table.id, table.method, table.path, table.operation, table.inferred).where(table.host == host)
    found: dict[tuple[str, str], Observed] = {}
    names: dict[str, str] = {}
    for number, method, path, operation, _ in connection.execute(rows.order_by(table.inferred, table.path, table.id)):
        if method in _METHODS:
            one = _observe(connection, number, method, path, operation)
            if not one.statuses:
                continue
            path = names.setdefault(_SEGMENT.sub("{}", path), path)
            one = replace(one, path=path)
            found[method, path] = _together(found[method, path], one) if (method, path) in found else one
    return sorted(found.values(), key=lambda each: (each.path, _METHODS.index(each.method)))


def _observe(connection: Connection, number: int, method: str, path: str, operation: str) -> Observed:
    facts = frozenset(read_facts(connection, number))
    paths = read_paths(connection, number) if "{" in path else ()
    formats = read_formats(connection, number)
    return Observed(method, path, (operation,) if operation else (), facts, formats, paths)


def _together(one: Observed, other: Observed) -> Observed:
    operations = tuple(dict.fromkeys(one.operations + other.operations))
    formats: Formats = {**other.formats, **one.formats}
    paths = [*one.paths, *other.paths]
    return Observed(one.method, one.path, operations, one.facts | other.facts, formats, paths)


def _scheme(observed: Iterable[Observed]) -> str:
    flags = {flag for each in observed for flag in each.flags}
    return "http" if "http" in flags and "https" not in flags else "https"


def _template(each: Observed) -> tuple[str, list[dict[str, Any]]]:
    """The path as OpenAPI can have it, each parameter under a name of its own, and what is known of them."""
    formats = parameter_formats(each.path, each.paths)
    segments, parameters, taken = [], [], set()
    for at, segment in enumerate(each.path.split("/")):
        whole = _SEGMENT.fullmatch(segment)
        if whole is None:
            segments.append(segment.replace("{", "%7B").replace("}", "%7D"))
            continue
        name = whole[1] if _NAME.fullmatch(whole[1]) else "param"
        while name in taken:
            name += "_"
        taken.add(name)
        segments.append(f"{{{name}}}")
        field = Field({"string"}, set(), False, formats.get(at, ""))
        schema = {"type": "integer"} if field.format == "integer" else schema_of(field)
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    return "/".join(segments), parameters


def _operation(each: Observed) -> dict[str, Any]:
    operation: dict[str, Any] = {}
    if each.operations:
        operation["x-graphql-operations"] = sorted(each.operations)
    if parameters := [*_parameters(each, "reqQuery", "query"), *_parameters(each, "reqHeaders", "header")]:
        operation["parameters"] = parameters
    if content := _content(each, "reqBody", 0):
        operation["requestBody"] = {"content": content}
    operation["responses"] = {str(status): _response(each, status) for status in sorted(each.statuses)}
    if each.flags & {"authenticated", "basic"}:
        operation["security"] = [{_SCHEME: []}, {}] if "open" in each.flags else [{_SCHEME: []}]
    return operation


def _parameters(each: Observed, section: str, place: str) -> list[dict[str, Any]]:
    found = fields_of(each.facts, section, 0, each.formats)
    named: dict[str, dict[str, Any]] = {}
    if found is None:
        return []
    for name, field in sorted(found.fields.items()):
        if place == "query" or _is_spoken(name):
            sometimes = field.absent or found.absent  # some requests had no query at all
            required = {} if sometimes or place == "header" else {"required": True}
            key = name if place == "query" else name.lower()
            named.setdefault(key, {"name": name, "in": place, **required, "schema": schema_of(field)})
    return list(named.values())


def _is_spoken(header: str) -> bool:
    return header.lower() not in _UNSPOKEN and not header.lower().startswith(_UNSPOKEN_PREFIXES)


def _response(each: Observed, status: int) -> dict[str, Any]:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"Status {status}"
    response: dict[str, Any] = {"description": phrase}
    headers = fields_of(each.facts, "resHeaders", status, {})
    spoken = {name: field for name, field in sorted(headers.fields.items()) if _is_spoken(name)} if headers else {}
    if spoken:
        response["headers"] = {name: {"schema": schema_of(field)} for name, field in spoken.items()}
    if content := _content(each, "resBody", status):
        response["content"] = content
    return response


def _content(each: Observed, section: str, status: int) -> dict[str, Any]:
    """By media type; where none was told, JSON for what has fields, else text."""
    field = fields_of(each.facts, section, status, each.formats)
    facts = (fact for fact in each.facts if fact.kind == "media" and (fact.key, fact.status) == (section, status))
    media = sorted(fact.name for fact in facts if _MEDIA.fullmatch(fact.name))
    if field is None:
        return {name: {} for name in media}
    text = not (field.fields or field.items) and field.types <= {"string"}
    return {name: {"schema": schema_of(field)} for name in media or ["text/plain" if text else "application/json"]}


def _security_scheme(found: Authentication | None) -> dict[str, Any]:
    """What is configured for the host; where nothing is, basic authentication is what can be seen."""
    if found is None or found.kind == "basic":
        return {"type": "http", "scheme": "basic"}
    if found.kind == "session_cookie":
        return {"type": "apiKey", "in": "cookie", "name": found.cookie_name or "session"}
    if found.kind == "jwt" and (found.header_key or "authorization").lower() == "authorization":
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return {"type": "apiKey", "in": "header", "name": found.header_key or "Authorization"}
