"""Decoded values as fields: a key as Metlo's contract writes it, the value, and its data type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

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
_MOST_NAMES = 500  # of a body, that are remembered
_MAX_KEY = 1024
_WORD = 12  # characters below which letters and digits alone tell nothing, as for detection
_CONTAINERS = frozenset({dict, list})
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
        else:
            found.append((key, None, None))
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


class Texts:
    """Finds every text below JSON values, without types; one for all documents of a body, as names are met again.

    Of what is `telling`, words of less than twelve letters and digits, and plain names of these, are left out.
    """

    __slots__ = ("_known", "_room", "_telling")

    def __init__(self, telling: bool = False) -> None:
        self._telling = telling
        self._known: dict[str, dict[str, str]] = {}
        self._room = _MOST_NAMES

    def below(self, key: str, value: Any) -> list[Field]:
        """Each text with its key; a name whose value is none has the empty text. Names that look like none are texts
        too: see field_key. No recursion, for depth is the client's choice. Written for speed: every text passes here.
        """
        found: list[Field] = []
        waiting: Left = [(key, value)]
        while waiting:
            key, value = waiting.pop()
            kind = type(value)
            if kind is dict:
                self._object(key, value, found, waiting)
            elif kind is str:
                found.append((key, clean(value), None))
            elif kind is list:
                below = key if key.endswith(".[].[]") else (key + ".[]")[:_MAX_KEY]
                for item in _once(value) if value and type(value[0]) is str else value:
                    if type(item) is str:
                        found.append((below, clean(item), None))
                    elif item and type(item) in _CONTAINERS:
                        waiting.append((below, item))
        return found

    def _object(self, key: str, value: dict[str, Any], found: list[Field], waiting: Left) -> None:
        known = self._known.get(key) or {}
        telling = self._telling
        for name, item in value.items():
            kind = type(item)
            is_text = kind is str and not (telling and len(item) < _WORD and (item.isalnum() or not item))
            named = known.get(name)
            if named is None:
                if not is_text and not (item and kind in _CONTAINERS):
                    if not (telling and _is_word(name)):
                        named, known = self._named(key, name, found)
                        found.append((named, "", None))
                    continue
                named, known = self._named(key, name, found)
            if is_text:
                found.append((named, item if item.isascii() else clean(item), None))
            elif item and kind in _CONTAINERS:
                waiting.append((named, item))

    def _named(self, key: str, name: str, found: list[Field]) -> tuple[str, dict[str, str]]:
        """The key of a name that was not met below another, and those of all that were."""
        named, odd = field_key(key + ".", name, "x")
        found += odd
        return named, self._known.get(key) or {} if odd else self._remember(key, name, named)

    def _remember(self, key: str, name: str, named: str) -> dict[str, str]:
        """Note the key of a name below another, and return all that are known there."""
        self._room -= 1
        if self._room <= 0:
            self._known.clear()
            self._room = _MOST_NAMES
        known = self._known.setdefault(key, {})
        known[name] = named
        return known


def _once(items: list[Any]) -> Iterable[Any]:
    """Each of these once; all as they are where objects or lists are among them."""
    try:
        return dict.fromkeys(items)
    except TypeError:
        return items


def _is_word(name: str) -> bool:
    """Whether no attack is in a name: a word, or some with single marks between."""
    return (len(name) < _WORD and name.isalnum()) or (is_plain(name) and "__" not in name)


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
