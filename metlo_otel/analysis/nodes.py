"""Decoded values as fields: a key as Metlo's contract writes it, the value, and its data type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from metlo_otel.analysis.turns import Turn, no_turn

Scalar = str | int | float | bool | None
Field = tuple[str, Scalar, str | None]
"""Key (`reqBody.items.[].id`), value, and type; type None: looked at, but not reported as a data type.

A value of None with the type None only brings its key to notice.
"""

MAX_ITEMS = 10
MAX_NODES = 500
MAX_DEPTH = 50
_ENOUGH = MAX_NODES - 10  # fields; what is left then may be too little for a single item
_TURN = 64  # items after which others may go first
_MAX_NAME = 256
_MAX_KEY = 1024
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
            kind = _TYPES.get(type(item))
            if kind is not None:
                found.append(((prefix + name)[:_MAX_KEY], item, kind))
            elif item and depth < MAX_DEPTH:
                room = _descend((prefix + name)[:_MAX_KEY], item, found, depth + 1, room)
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


def has_long_array(value: Any, depth: int = 1) -> bool:
    """Whether there is anything for `beyond` to find."""
    if type(value) is list and len(value) > MAX_ITEMS:
        return True
    if type(value) not in (dict, list) or depth >= MAX_DEPTH:
        return False
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if (kind is dict or kind is list) and has_long_array(item, depth + 1):
            return True
    return False


def beyond(key: str, value: Any, found: list[Field], turn: Turn = no_turn, depth: int = 1) -> None:
    """What stands behind the first items of arrays, up to another 500 fields: an attack may hide there."""
    if depth >= MAX_DEPTH or len(found) >= _ENOUGH:
        return
    if isinstance(value, dict):
        for name, item in islice(value.items(), MAX_NODES):
            if type(item) in (dict, list):
                beyond(f"{key}.{name}"[:_MAX_KEY], item, found, turn, depth + 1)
        return
    below = f"{key}.[]"[:_MAX_KEY]
    for item in value[:MAX_ITEMS]:
        if type(item) in (dict, list):
            beyond(below, item, found, turn, depth + 1)
    for number in range(MAX_ITEMS, len(value)):
        if len(found) >= _ENOUGH:
            return
        if not number % _TURN:
            turn()
        found += walk(below, value[number], MAX_NODES - len(found))


def pair_fields(prefix: str, pairs: Sequence[tuple[str, str]]) -> tuple[Field, ...]:
    """The fields of names and values, under a key that ends with the dot; the first 500."""
    return tuple([(prefix + clean(name[:_MAX_NAME]), clean(value), "string") for name, value in pairs[:MAX_NODES]])


def clean(text: str) -> str:
    """The text with halves of surrogate pairs as question marks: what is sent is UTF-8, which has none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def untyped(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The same fields, to be looked at and not reported as data types."""
    return tuple([(key, value, None) for key, value, _ in fields])
