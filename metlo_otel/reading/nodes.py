"""Decoded values as fields: a key as Metlo's contract writes it, the value, and its data type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from metlo_otel.reading.names import OTHER, is_name, is_plain

Scalar = str | int | float | bool | None
Field = tuple[str, Scalar, str | None]
"""Key (`reqBody.items.[].id`), value, and type; type None: looked at, but not reported as a data type.

A value of None with the type None only brings its key to notice.
"""

MAX_ITEMS = 10
MAX_NODES = 500
MAX_DEPTH = 50
_MAX_KEY = 1024
_TELLING = frozenset({str, dict, list})
_TYPES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def walk(key: str, value: Any, room: int = MAX_NODES) -> list[Field]:
    """The fields of a decoded JSON value under a key; at most `room` nodes are visited."""
    kind = _TYPES.get(type(value))
    if kind is not None:
        return [(key, value, kind)]
    found: list[Field] = []
    _descend(key, value, found, 1, room)
    return found


def _descend(key: str, value: Any, found: list[Field], depth: int, room: int) -> int:
    """Note what lies below a container; what is left of `room`. Written for speed: every field passes here."""
    if type(value) is dict:
        prefix = key + "."
        named = value.items() if len(value) <= room else islice(value.items(), max(0, room))
        room -= len(value)
        for name, item in named:
            if is_plain(name) or is_name(name, "x"):
                key = (prefix + name)[:_MAX_KEY]
            else:
                key = (prefix + OTHER)[:_MAX_KEY]
                found.append((key, clean(name), None))
            kind = _TYPES.get(type(item))
            if kind is not None:
                found.append((key, item, kind))
            elif item and depth < MAX_DEPTH:
                room = _descend(key, item, found, depth + 1, room)
        return room
    below = (key + ".[]")[:_MAX_KEY]
    for item in value[: max(0, min(MAX_ITEMS, room))]:
        room -= 1
        kind = _TYPES.get(type(item))
        if kind is not None:
            found.append((below, item, kind))
        elif item and depth < MAX_DEPTH:
            room = _descend(below, item, found, depth + 1, room)
    return room


def is_beyond(value: Any, depth: int = 1) -> bool:
    """Whether a document has more than `walk` tells of it: a long array, or a great depth."""
    if type(value) is list and len(value) > MAX_ITEMS:
        return True
    if type(value) not in (dict, list):
        return False
    if depth >= MAX_DEPTH:
        return True
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if (kind is dict or kind is list) and is_beyond(item, depth + 1):
            return True
    return False


def everything(key: str, value: Any, most: int) -> tuple[list[Field], bool]:
    """Every text below a value, at most `most` nodes, without types, and whether that was all.

    Names that look like none are texts too: see field_key. No recursion, for depth is the client's choice.
    """
    found: list[Field] = []
    waiting = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        kind = type(value)
        if kind is str:
            found.append((key, clean(value), None))
        elif kind is dict:
            most -= len(value)
            if most < 0:
                return found, False
            prefix = key + "."
            for name, item in reversed(value.items()):
                if is_plain(name):
                    if type(item) in _TELLING:
                        waiting.append(((prefix + name)[:_MAX_KEY], item))
                    else:  # its name may tell something all the same
                        found.append(((prefix + name)[:_MAX_KEY], "", None))
                else:
                    waiting.append(_named(key, name, item, found))
        elif kind is list:
            most -= len(value)
            if most < 0:
                return found, False
            below = key if key.endswith(".[].[]") else (key + ".[]")[:_MAX_KEY]
            waiting += [(below, item) for item in reversed(value) if type(item) in _TELLING]
    return found, True


def _named(key: str, name: str, item: Any, found: list[Field]) -> tuple[str, Any]:
    named, odd = field_key(key + ".", name, "x")
    found += odd
    if type(item) not in _TELLING:  # its name may tell something all the same
        found.append((named, "", None))
    return named, item


def loose_pair(prefix: str, name: str, value: str) -> list[Field]:
    """A pair of names and values without a type: to be looked at, and told nowhere."""
    key, odd = field_key(prefix, name, value)
    return [(key, clean(value), None), *odd]


def field_key(prefix: str, name: str, value: str) -> tuple[str, tuple[Field, ...]]:
    """The key of a field; a name that does not look like one is `{other}` there, and a text of its own beside it.

    `prefix` ends with a dot; an empty `value` makes it likelier that the name is in truth a value.
    """
    if is_name(name, value):
        return (prefix + clean(name))[:_MAX_KEY], ()
    key = (prefix + OTHER)[:_MAX_KEY]
    return key, ((key, clean(name), None),)


def pair_fields(prefix: str, pairs: Sequence[tuple[str, str]]) -> tuple[Field, ...]:
    """The fields of names and values, under a key that ends with the dot; the first 500."""
    found: list[Field] = []
    text = prefix.endswith("Body.") and not any(value for _, value in pairs)  # that was taken for a form
    for name, value in pairs[:MAX_NODES]:
        key, odd = (prefix + OTHER, ((prefix + OTHER, clean(name), None),)) if text else field_key(prefix, name, value)
        found += [(key, clean(value), "string"), *odd]
    return tuple(found)


def clean(text: str) -> str:
    """The text with halves of surrogate pairs as question marks: what is sent is UTF-8, which has none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def untyped(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The same fields, to be looked at and not reported as data types."""
    return tuple([(key, value, None) for key, value, _ in fields])
