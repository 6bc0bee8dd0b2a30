"""An OpenAPI description (3.0.x or 3.1.x, JSON or YAML), read once and bounded, its schemas as plain JSON Schema."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from metlo_otel.analysis.endpoints import path_segments
from metlo_otel.core.guessing import is_parameter
from metlo_otel.core.yaml_loading import bounded_loader, check_events

OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""The methods that a path may be described for, in the order of the specification."""

MAX_TEXT = 4_000_000
MAX_YAML = 1_000_000
_MAX_NODES = 300_000
_MAX_DEPTH = 100
_MAX_REFERENCES = 20


class SpecError(ValueError):
    """The text is no description that responses can be held against; the message says why."""


@dataclass(frozen=True, slots=True)
class Description:
    """`version` is 3.0 or 3.1, `paths` the path items by template, `prefixes` the servers' paths, longest first."""

    version: str
    document: Mapping[str, Any]
    paths: Mapping[str, Any]
    prefixes: tuple[str, ...]
    by_length: Mapping[int, tuple[str, ...]]

    def paths_of(self, segments: int) -> tuple[str, ...]:
        """The templates with so many segments, literal ones first."""
        return self.by_length.get(segments, ())

    def resolve(self, item: Any) -> Mapping[str, Any]:
        """The object that references within this document lead to; an empty one where they lead nowhere."""
        for _ in range(_MAX_REFERENCES):
            if not isinstance(item, Mapping):
                return {}
            if not isinstance(item.get("$ref"), str):
                return item
            item = _at(self.document, item["$ref"])
        return {}

    def schema(self, schema: Mapping[str, Any] | bool) -> Any:
        """A schema that stands by itself: with the components that it refers to."""
        if isinstance(schema, bool):
            return schema if self.version == "3.1" else {}
        return {"allOf": [schema], "components": self.document.get("components", {})}


def read_spec(text: str) -> Description:
    """Read a description. JSON, or YAML where PyYAML is installed.

    Raises SpecError for what is too large, refers to itself without end, or is no OpenAPI 3.0 or 3.1.
    """
    document = _decoded(text)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise SpecError("an OpenAPI description is an object with paths")
    version = str(document.get("openapi", document.get("swagger", "none")))[:3]
    if version not in ("3.0", "3.1"):
        raise SpecError(f"OpenAPI 3.0 and 3.1 are read, not {version!r}")
    if version == "3.0":
        document = _plain_schema(document)
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/")}
    return Description(version, document, paths, _prefixes(document), _by_length(paths))


def _decoded(text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise SpecError(f"larger than {MAX_TEXT} characters")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = _yaml(text)
    return _copied(document, [_MAX_NODES], 0)


def _yaml(text: str) -> Any:
    if len(text) > MAX_YAML:
        raise SpecError(f"neither JSON nor YAML of at most {MAX_YAML} characters")
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise SpecError("not JSON; for YAML install PyYAML") from None
    try:
        check_events(yaml, text)
        return yaml.load(text, Loader=bounded_loader(yaml))
    except yaml.MarkedYAMLError as problem:
        line = f" (line {problem.problem_mark.line + 1})" if problem.problem_mark else ""
        raise SpecError(f"neither JSON nor YAML: {str(problem.problem)[:200]}{line}") from problem
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as problem:
        raise SpecError(f"neither JSON nor YAML: {str(problem).splitlines()[0][:200]}") from problem


def _copied(value: Any, room: list[int], depth: int) -> Any:
    """A copy in JSON's types with text keys. YAML aliases are written out, so their number is bounded here."""
    room[0] -= 1
    if room[0] < 0 or depth > _MAX_DEPTH:
        raise SpecError(f"more than {_MAX_NODES} nodes once aliases are written out, or deeper than {_MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {_key(name): _copied(item, room, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_copied(item, room, depth + 1) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _key(name: Any) -> str:
    return {True: "true", False: "false"}[name] if isinstance(name, bool) else str(name)


def _plain_schema(value: Any) -> Any:
    """OpenAPI 3.0's own schema words as JSON Schema: `nullable`, and `required` without what only requests carry."""
    if isinstance(value, list):
        return [_plain_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {name: _plain_schema(item) for name, item in value.items()}
    if isinstance(plain.get("required"), list) and isinstance(plain.get("properties"), dict):
        _drop_write_only(plain)
    return _nullable(plain) if plain.get("nullable") is True else plain


def _drop_write_only(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    kept = [name for name in schema["required"] if not _write_only(properties.get(str(name)))]
    if kept:
        schema["required"] = kept
    else:
        del schema["required"]  # draft 4 knows no empty list here


def _write_only(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("writeOnly") is True


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        schema = {**schema, "type": [schema["type"], "null"]}
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return schema


def _prefixes(document: Mapping[str, Any]) -> tuple[str, ...]:
    servers = document.get("servers")
    urls = [server.get("url") for server in servers if isinstance(server, Mapping)] if isinstance(servers, list) else []
    found = {_base_path(url) for url in urls if isinstance(url, str)}
    return tuple(sorted(found | {""}, key=len, reverse=True))


def _base_path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""


def _by_length(paths: Iterable[str]) -> dict[int, tuple[str, ...]]:
    grouped: dict[int, list[str]] = defaultdict(list)
    for path in sorted(paths, key=lambda path: [is_parameter(part) for part in path_segments(path)]):
        grouped[len(path_segments(path))].append(path)
    return {length: tuple(group) for length, group in grouped.items()}


def _at(document: Any, reference: str) -> Any:
    """What a JSON pointer (RFC 6901) within the document leads to."""
    if not reference.startswith("#/"):
        return None
    for name in reference[2:].split("/"):
        if not isinstance(document, Mapping):
            return None
        document = document.get(name.replace("~1", "/").replace("~0", "~"))
    return document
