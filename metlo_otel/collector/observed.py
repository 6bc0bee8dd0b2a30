"""Fields that were observed as JSON schemas: types, formats, what is always there, and classes of data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metlo_otel.collector.learnt import Fact

_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_FORMATS = (
    ("uuid", re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)),
    ("date-time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII)),
    ("date", re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)),
    ("email", re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+")),
    ("ipv4", re.compile(r"(?:\d{1,3}\.){3}\d{1,3}", re.ASCII)),
    ("uri", re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"<>]+", re.IGNORECASE | re.ASCII)),
)
_LONGEST = 300  # characters of a value that a format is looked for in
_ITEMS = 20  # of an array whose formats are looked at
_DEPTH = 40

Formats = dict[str, str]
"""By field (`resBody.user.id`): a format, `integer` for numbers without a fraction, or `` for neither."""


@dataclass(slots=True)
class Field:
    """What is known of one field, and of the fields within."""

    types: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    absent: bool = False
    format: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    items: Field | None = None


def fields_of(facts: Iterable[Fact], section: str, status: int, formats: Mapping[str, str]) -> Field | None:
    """What facts tell of a section (`reqBody`), for responses of a status; None where they tell nothing."""
    root = Field()
    for fact in facts:
        if fact.kind in ("type", "class", "absent") and fact.status == status and _is_in(fact.key, section):
            found = _at(root, fact.key[len(section) :])
            if fact.kind == "absent":
                found.absent = True
            else:
                (found.types if fact.kind == "type" else found.classes).add(fact.name)
            found.format = formats.get(fact.key, "")
    return root if root.types or root.classes or root.fields or root.items else None


def schema_of(found: Field, certain: bool = True) -> dict[str, Any]:
    """A JSON schema (2020-12). `certain` says that a field not known to be absent is always there; of the items of
    arrays, which are observed together, nobody knows.
    """
    types = set(found.types) & set(_TYPES)
    schema: dict[str, Any] = {}
    if found.fields:
        types.add("object")
        schema["properties"] = {name: schema_of(each, certain) for name, each in sorted(found.fields.items())}
        required = [name for name, each in sorted(found.fields.items()) if certain and not each.absent]
        if required:
            schema["required"] = required
    if found.items:
        types.add("array")
        schema["items"] = schema_of(found.items, False)
    if found.format == "integer":
        types = {"integer" if name == "number" else name for name in types}
    elif found.format and "string" in types:
        schema["format"] = found.format
    if types and "unknown" not in found.types:
        named = [name for name in _TYPES if name in types]
        schema = {"type": named[0] if len(named) == 1 else named, **schema}
    return {**schema, "x-data-classes": sorted(found.classes)} if found.classes else schema


def find_formats(value: Any, key: str, found: Formats, depth: int = 0) -> None:
    """Note the formats of a decoded body's values by field; where two values differ there is none."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            find_formats(item, f"{key}.{name}", found, depth + 1)
    elif isinstance(value, list):
        for item in value[:_ITEMS]:
            find_formats(item, f"{key}.[]", found, depth + 1)
    elif value is not None and not isinstance(value, bool):
        seen = format_of(value)
        found[key] = seen if found.setdefault(key, seen) == seen else ""


def format_of(value: Any) -> str:
    """The format of one value."""
    if not isinstance(value, str):
        return "integer" if isinstance(value, int) else ""
    return next((name for name, pattern in _FORMATS if len(value) <= _LONGEST and pattern.fullmatch(value)), "")


def _is_in(key: str, section: str) -> bool:
    return key == section or key.startswith(section + ".")


def _at(root: Field, path: str) -> Field:
    """The field of a path like `.user.[].id`, made where it is not there."""
    found = root
    for step in path.split(".")[1 : _DEPTH + 1]:
        if step == "[]":
            found.items = found.items or Field()
            found = found.items
        else:
            found = found.fields.setdefault(step, Field())
    return found
