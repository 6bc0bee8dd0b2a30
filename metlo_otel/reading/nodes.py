"""Decoded values as fields: a key as Metlo's contract writes it, the value, and its data type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.names import OTHER, is_name, is_plain, known

Scalar = str | int | float | bool | None
Field = tuple[str, Scalar, str | None]
"""Key (`reqBody.items.[].id`), value, and type; type None: looked at, but not reported as a data type.

A value of None with the type None only brings its key to notice.
"""

Left = list[tuple[str, Any]]
"""Keys and values that were not told of."""

MAX_ITEMS = 10
MAX_NODES = 500
MAX_DEPTH = 50
MOST_PARTS = 4_000  # pairs, or texts and names of a document, that are looked at beyond what is told
_STEP, _NAMES = 64, 128  # texts and containers, and names of one, between two turns
_MAX_KEY = 1024
_TELLING = frozenset({str, dict, list})
_TYPES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def walk(key: str, value: Any, room: int = MAX_NODES, left: Left | None = None) -> list[Field]:
    """The fields of a decoded JSON value under a key; at most `room` nodes are visited, the rest goes to `left`."""
    kind = _TYPES.get(type(value))
    if kind is not None:
        return [(key, value, kind)]
    found: list[Field] = []
    _descend(key, value, found, 1, room, [] if left is None else left)
    return found


def _descend(key: str, value: Any, found: list[Field], depth: int, room: int, left: Left) -> int:
    """Note what lies below a container; what is left of `room`. Written for speed: every field passes here."""
    if depth > MAX_DEPTH:
        left.append((key, value))
        return room
    if type(value) is not dict:
        return _descend_list((key + ".[]")[:_MAX_KEY], value, found, depth, room, left)
    prefix = key + "."
    named: Iterable[tuple[str, Any]] = value.items()
    if len(value) > room:
        here = max(0, room)
        left.append((key, dict(islice(named, here, None))))
        named = islice(named, here)
    room -= len(value)
    for name, item in named:
        if name in known or is_name(name, "x"):
            key = (prefix + name)[:_MAX_KEY]
        else:
            key = (prefix + OTHER)[:_MAX_KEY]
            found.append((key, clean(name), None))
        kind = _TYPES.get(type(item))
        if kind is not None:
            found.append((key, item, kind))
        elif item:
            room = _descend(key, item, found, depth + 1, room, left)
    return room


def _descend_list(below: str, value: Any, found: list[Field], depth: int, room: int, left: Left) -> int:
    told = max(0, min(MAX_ITEMS, room))
    if len(value) > told:
        left.append((below[:-3], value[told:]))
        value = value[:told]
    for item in value:
        room -= 1
        kind = _TYPES.get(type(item))
        if kind is not None:
            found.append((below, item, kind))
        elif item:
            room = _descend(below, item, found, depth + 1, room, left)
    return room


def everything(left: Iterable[tuple[str, Any]], most: int, turn: Turn = no_turn) -> tuple[list[Field], bool]:
    """Every text below these values, at most `most` nodes, without types, and whether there are no more.

    Names that look like none are texts too: see field_key. No recursion, for depth is the client's choice.
    """
    found: list[Field] = []
    keys: set[str] = set()
    waiting = list(left)[::-1]
    whole, asked = True, 0
    while waiting:
        key, value = waiting.pop()
        asked += 1
        if not asked % _STEP and turn():
            break
        kind = type(value)
        if kind is str:
            found.append((key, clean(value), None))
            continue
        below = _named(key, value, keys, found, most, turn) if kind is dict else _listed(key, value, most)
        room = max(0, most - len(found) - len(waiting))
        if len(below) > room:
            below, whole = below[:room], False
        waiting += below[::-1]
    return found, whole


def _named(key: str, value: dict[str, Any], keys: set[str], found: list[Field], most: int, turn: Turn) -> Left:
    """What stands below an object; names that may tell something by themselves are found."""
    below: Left = []
    prefix = key + "."
    for count, (name, item) in enumerate(islice(value.items(), max(0, most + 1 - len(found)))):
        if count % _NAMES == _NAMES - 1 and turn():
            break
        if name in known or is_plain(name):
            named = (prefix + name)[:_MAX_KEY]
        else:
            named, odd = field_key(prefix, name, "x")
            found += odd
        if type(item) in _TELLING:
            below.append((named, item))
        elif named not in keys:
            keys.add(named)
            found.append((named, "", None))
    return below


def _listed(key: str, value: Any, most: int) -> Left:
    """What stands in a list; nothing does where it is no list."""
    if type(value) is not list:
        return []
    below = key if key.endswith(".[].[]") else (key + ".[]")[:_MAX_KEY]
    return list(islice(((below, item) for item in value if type(item) in _TELLING), max(0, most + 1)))


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
