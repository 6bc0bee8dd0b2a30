"""GraphQL requests: which fields they ask for with which arguments, and what came back under the schema's own names."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson

from metlo_otel.core.record import Record
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.fields import Fields
from metlo_otel.reading.graphql_query import Answer, Operation, Variable, parse_query
from metlo_otel.reading.nodes import MAX_DEPTH, MAX_ITEMS, MAX_NODES, Field, untyped, walk

_CACHED = 256
_MAX_CACHED_TEXT = 16_384
_OWN = frozenset({"query", "variables", "operationName", "extensions"})


@dataclass(frozen=True, slots=True)
class GraphQLFields:
    """A record's fields with the GraphQL ones under their names, and the paths of the top fields."""

    fields: Fields
    paths: tuple[str, ...] = ()


class GraphQL:
    """Reads GraphQL calls; keeps the last 256 query texts parsed, and the texts of persisted queries by their hash."""

    def __init__(self, turn: Turn = no_turn) -> None:
        self._turn = turn
        self._parsed: OrderedDict[str, list[Operation]] = OrderedDict()
        self._persisted: OrderedDict[str, str] = OrderedDict()

    def read(self, record: Record, fields: Fields) -> GraphQLFields:
        """Read the calls of a request to a GraphQL endpoint, of its body or else of its query.

        Raises ImportError where graphql-core is not installed.
        """
        section, calls, rest = _calls(record, fields)
        if not calls:
            return GraphQLFields(
                replace(fields, request=replace(fields.request, fields=untyped(fields.request.fields)))
            )
        asked: list[Field] = list(rest)
        paths: list[str] = []
        chosen: list[Operation | None] = []
        for call in calls:
            operations = self._operations(call)
            paths += [f"{section}.{each.kind}.{name}" for each in operations for name in each.fields]
            asked += _asked(section, call, operations)
            asked += [(path, None, None) for path in paths if ".__" in path]  # introspection has no value to show it
            chosen.append(operations[0] if operations else None)
        answered = _answered(fields.response.document, chosen) or fields.response.fields
        response = replace(fields.response, fields=tuple(answered))
        return GraphQLFields(
            _with_request(fields, section, asked[: 2 * MAX_NODES], response), tuple(dict.fromkeys(paths))
        )

    def _operations(self, call: dict[str, Any]) -> list[Operation]:
        """The call's operations, the one that operationName chooses first."""
        text = self._text(call)
        operations = self._parse(text) if text else []
        name = call.get("operationName")
        return sorted(operations, key=lambda operation: name is not None and operation.name != name)

    def _text(self, call: dict[str, Any]) -> str:
        """The query's text; that of a persisted query (by SHA-256) where it was sent before."""
        text, extensions = call.get("query"), call.get("extensions")
        persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
        digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if isinstance(text, str) and text:
            if (
                isinstance(digest, str)
                and hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() == digest.lower()
            ):
                _keep(self._persisted, digest.lower(), text)
            return text
        return self._persisted.get(digest.lower(), "") if isinstance(digest, str) else ""

    def _parse(self, text: str) -> list[Operation]:
        known = self._parsed.get(text)
        if known is not None:
            self._parsed.move_to_end(text)
            return known
        operations = parse_query(text, self._turn)
        if len(text) <= _MAX_CACHED_TEXT:
            _keep(self._parsed, text, operations)
        return operations


def _keep(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    if len(kept) > _CACHED:
        kept.popitem(last=False)


def _calls(record: Record, fields: Fields) -> tuple[str, list[dict[str, Any]], list[Field]]:
    """Where the calls stand, the calls, and the fields beside them."""
    body, given = fields.request, dict(record.query)
    if record.request.media_type == "application/graphql" and body.text and not body.parsed:
        return "reqBody", [{"query": body.text}], []
    if isinstance(body.document, dict):
        return "reqBody", [body.document], []
    if isinstance(body.document, list):
        return "reqBody", [call for call in body.document[:MAX_ITEMS] if isinstance(call, dict)], []
    if "query" in given or "extensions" in given:
        call = {
            name: given[name] if name in ("query", "operationName") else _json(given[name])
            for name in _OWN & given.keys()
        }
        return "reqQuery", [call], [each for each in fields.query if each[0][9:] not in _OWN]
    return "reqBody", [], []


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _with_request(fields: Fields, section: str, asked: Iterable[Field], response: Any) -> Fields:
    if section == "reqQuery":
        return replace(fields, query=tuple(asked), response=response)
    return replace(fields, request=replace(fields.request, fields=tuple(asked)), response=response)


def _asked(section: str, call: dict[str, Any], operations: list[Operation]) -> list[Field]:
    """Arguments under their fields; what the query does not use, or all of a query that cannot be read, untyped."""
    beside = {name: value for name, value in call.items() if name not in _OWN}
    found = walk(section, beside) if beside else []
    if not operations:
        return found + list(untyped(walk(section, {name: call[name] for name in call if name in _OWN})))
    variables = call.get("variables")
    given = variables if isinstance(variables, dict) else {}
    used: set[str] = set()
    for operation in operations:
        for path, value in operation.arguments:
            filled = _filled(value, {**operation.defaults, **given}, used)
            if filled is not _MISSING:
                found += walk(f"{section}.{operation.kind}.{path}", filled)
    unused = {name: value for name, value in given.items() if name not in used}
    told = {
        "operationName": call.get("operationName"),
        "extensions": call.get("extensions"),
        "variables": unused,
    }
    return found + list(untyped(walk(section, {name: value for name, value in told.items() if value})))


_MISSING = object()


def _filled(value: Any, variables: dict[str, Any], used: set[str]) -> Any:
    if isinstance(value, Variable):
        used.add(value.name)
        return variables.get(value.name, _MISSING)
    if isinstance(value, list):
        return [item for item in (_filled(item, variables, used) for item in value) if item is not _MISSING]
    if isinstance(value, dict):
        items = ((name, _filled(item, variables, used)) for name, item in value.items())
        return {name: item for name, item in items if item is not _MISSING}
    return value


def _answered(document: Any, operations: list[Operation | None]) -> list[Field]:
    """The response's fields under the names of the schema; nothing where it is no GraphQL answer."""
    answers = document if isinstance(document, list) else [document]
    found: list[Field] = []
    for answer, operation in zip(answers, operations, strict=False):
        if not isinstance(answer, dict):
            continue
        data = answer.get("data")
        if operation is None or not isinstance(data, dict):
            found += walk("resBody", answer, MAX_NODES - len(found))
            continue
        others = {name: value for name, value in answer.items() if name != "data"}
        found += walk("resBody", others, MAX_NODES - len(found))
        _name_data(operation, data, found)
    return found[:MAX_NODES]


def _name_data(operation: Operation, data: dict[str, Any], found: list[Field]) -> None:
    for key, value in data.items():
        answer = operation.answers.get(key)
        if answer is None:
            found += walk(f"resBody.data.{key}", value, MAX_NODES - len(found))
        else:
            _named(f"resBody.{operation.kind}.{answer.name}", value, answer.below, found, 0)


def _named(key: str, value: Any, below: dict[str, Answer], found: list[Field], depth: int) -> None:
    if len(found) >= MAX_NODES or depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            answer = below.get(name)
            known = answer.below if answer else {}
            _named(f"{key}.{answer.name if answer else name}", item, known, found, depth + 1)
    elif isinstance(value, list):
        for item in islice(value, MAX_ITEMS):
            _named(f"{key}.[]", item, below, found, depth + 1)
    else:
        found += walk(key, value)
