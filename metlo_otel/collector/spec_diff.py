"""How what was observed of a host differs from its written OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from metlo_otel.analysis.openapi_spec import OPERATIONS, Description, SpecError, read_spec
from metlo_otel.core.routes import fits

_DEPTH = 20
_MOST = 2_000  # differences that are told
_WHOLE = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: `place` is a parameter, status or field of the operation, empty for the operation itself."""

    method: str
    path: str
    place: str
    what: str

    def document(self) -> dict[str, str]:
        """As JSON has it."""
        return asdict(self)


def compare(observed: Mapping[str, Any], text: str) -> list[Difference]:
    """What an observed description (see describe_host) has and a written one, as `text`, lacks or says otherwise, and
    the operations that are written but were never called. Raises ValueError for a text that is no description.
    """
    try:
        written = read_spec(text)
    except SpecError as problem:
        raise ValueError(f"the description cannot be read: {problem}") from None
    found: list[Difference] = []
    called: set[tuple[str, str]] = set()
    for path, item in observed.get("paths", {}).items():
        for method in OPERATIONS:
            if method in item:
                found += _of_operation(written, called, method, path, item)
    found += _never_called(written, called)
    return found[:_MOST]


def _of_operation(
    written: Description, called: set[tuple[str, str]], method: str, path: str, item: Mapping[str, Any]
) -> list[Difference]:
    match = _find(written, method, path)
    if match is None:
        return [Difference(method.upper(), path, "", "was called, but is not described")]
    called.add((method, match))
    described = written.resolve(written.paths[match])
    operation = written.resolve(described.get(method))
    seen = item[method]
    places = [
        *_parameters(written, (described, operation), seen),
        *_request(written, operation, seen),
        *_responses(written, operation, seen),
    ]
    return [Difference(method.upper(), path, place, what) for place, what in places]


def _find(written: Description, method: str, path: str) -> str | None:
    """The described path, literal segments first, below one of the servers' paths where they have any."""
    for prefix in [prefix for prefix in written.prefixes if prefix] or [""]:
        if path.startswith(prefix):
            rest = path[len(prefix) :] or "/"
            for template in written.paths_of(len(rest.rstrip("/").split("/"))):
                if fits(template, rest) and method in written.resolve(written.paths[template]):
                    return template
    return None


def _never_called(written: Description, called: set[tuple[str, str]]) -> Iterator[Difference]:
    for path, item in written.paths.items():
        for method in OPERATIONS:
            if method in written.resolve(item) and (method, path) not in called:
                yield Difference(method.upper(), path, "", "is described, but was never called")


def _parameters(
    written: Description, holders: tuple[Mapping[str, Any], ...], seen: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    for holder in holders:
        listed = holder.get("parameters")
        for each in map(written.resolve, listed if isinstance(listed, list) else ()):
            known[str(each.get("in")), _folded(str(each.get("in")), str(each.get("name")))] = each
    for each in seen.get("parameters", ()):
        place = f"{each['in']} {each['name']}"
        described = known.get((each["in"], _folded(each["in"], each["name"])))
        if described is None:
            if each["in"] == "query":
                yield place, "was sent, but is not described"
        elif each["in"] == "query" and described.get("required") is True and not each.get("required"):
            yield place, "is described as required, but was not always sent"


def _folded(place: str, name: str) -> str:
    return name.lower() if place == "header" else name


def _request(written: Description, operation: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "requestBody" not in seen:
        return
    described = written.resolve(operation.get("requestBody"))
    if not described:
        yield "request body", "was sent, but is not described"
    else:
        yield from _contents(written, described, seen["requestBody"], "request body")


def _responses(
    written: Description, operation: Mapping[str, Any], seen: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    described = written.resolve(operation.get("responses"))
    for status, response in seen["responses"].items():
        match = next(
            (name for name in (status, f"{status[0]}XX", f"{status[0]}xx", "default") if name in described), ""
        )
        if match:
            yield from _contents(written, written.resolve(described[match]), response, f"response {status}")
        else:
            yield f"response {status}", "was answered, but is not described"


def _contents(
    written: Description, described: Mapping[str, Any], seen: Mapping[str, Any], place: str
) -> Iterator[tuple[str, str]]:
    known = written.resolve(described.get("content"))
    for media, content in seen.get("content", {}).items():
        match = next((name for name in (media, media.partition("/")[0] + "/*", "*/*") if name in known), None)
        if match is None:
            yield f"{place} {media}", "was sent, but this media type is not described"
        else:
            schema = written.resolve(known[match]).get("schema", True)
            yield from _schemas(written, schema, content.get("schema", {}), place, 0)


def _schemas(
    written: Description, described: Any, seen: Mapping[str, Any], place: str, depth: int
) -> Iterator[tuple[str, str]]:
    """Fields and types that were seen and are not described. What words of JSON Schema beyond properties, items, types
    and their combinations say is not looked at: responses are validated one by one for that.
    """
    parts = _parts(written, described, 0)
    if depth > _DEPTH or not parts:
        return
    types = {name for part in parts for name in _types(part)}
    extra = [
        name for name in _types(seen) if types and name not in types and not (name == "integer" and "number" in types)
    ]
    if extra:
        yield place, f"is {' or '.join(extra)}, but is described as {' or '.join(sorted(types))}"
        return
    yield from _properties(written, parts, seen, place, depth)
    items = [part["items"] for part in parts if "items" in part]
    if items and "items" in seen:
        yield from _schemas(written, {"anyOf": items}, seen["items"], f"{place}[]", depth + 1)


def _properties(
    written: Description, parts: list[Mapping[str, Any]], seen: Mapping[str, Any], place: str, depth: int
) -> Iterator[tuple[str, str]]:
    known: dict[str, list[Any]] = {}
    for part in parts:
        for name, schema in written.resolve(part.get("properties")).items():
            known.setdefault(name, []).append(schema)
    free = any(part.get("additionalProperties") not in (None, False) or "patternProperties" in part for part in parts)
    for name, schema in seen.get("properties", {}).items():
        if name in known:
            yield from _schemas(written, {"anyOf": known[name]}, schema, f"{place} .{name}", depth + 1)
        elif known and not free:
            yield f"{place} .{name}", "was seen, but is not described"


def _parts(written: Description, schema: Any, depth: int) -> list[Mapping[str, Any]]:
    """A schema and all that it is combined of; empty where one of them allows everything."""
    found = written.resolve(schema)
    if not found or depth > _DEPTH:
        return []
    parts = [found] if set(found) - set(_WHOLE) else []
    for word in _WHOLE:
        listed = found.get(word)
        for each in listed if isinstance(listed, list) else ():
            within = _parts(written, each, depth + 1)
            if not within and word != "allOf":
                return []
            parts += within
    return parts


def _types(schema: Mapping[str, Any]) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else [name for name in named if isinstance(name, str)]
