"""Regular expressions as a small tree, read with Python's grammar and kept to what a linear-time engine can run."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[int, int]

MAX_REPEAT = 1000
"""No counted repetition, nor nested ones multiplied, goes beyond this: RE2's own limit."""

MAX_SIZE = 4000
"""How many single-character steps a pattern may have when its repetitions are written out."""

LAST = 0x10FFFF
"""The last code point."""

_MAX_DEPTH = 60
_DIGIT: tuple[Range, ...] = ((0x30, 0x39),)
_SPACE: tuple[Range, ...] = ((0x09, 0x0D), (0x20, 0x20))
_WORD: tuple[Range, ...] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))

# The grammar's reader is the standard library's; only its name differs between versions.
_reader: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


class PatternError(ValueError):
    """The pattern cannot be run in linear time, or cannot be read at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of sorted, disjoint code point ranges."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters: text_start, text_end, line_start, line_end or boundary."""

    kind: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts that follow each other; none: the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several ways."""

    ways: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, at least `least` times and at most `most` (None: without end)."""

    part: Node
    least: int
    most: int | None


Node = Chars | Edge | Chain | Either | Repeat

# An escape, or a whole set: its negation, and what is in it.
_SET = re.compile(r"\\.|\[(\^?)(\]?(?:\\.|[^]\\])*)", re.DOTALL)
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_OPERATION = re.compile(r"--|&&|~~|\|\|")


def parse_pattern(pattern: str) -> Node:
    """Read a pattern in Python's grammar, with `\\d \\w \\s \\b` in ASCII and `$` at the very end only.

    Raises PatternError for look-around, back-references, atomic groups, what is too large, and what is no pattern.
    """
    if _has_odd_set(pattern):
        raise PatternError("not a regular expression that every engine reads alike: a nested set")
    try:
        parsed = _reader.parse(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as problem:
        raise PatternError(f"not a regular expression: {problem}") from problem
    node = _sequence(parsed, parsed.state.flags, 1, 0)
    if _size(node) > MAX_SIZE:
        raise PatternError(f"too large: more than {MAX_SIZE} steps once its repetitions are written out")
    return node


def _has_odd_set(pattern: str) -> bool:
    """Whether there is what Python warns of: a possible nested set, or an operation on sets.

    Its warnings cannot be listened to: their filters are the whole process's, and an app's own warnings would meanwhile
    be errors in its requests.
    """
    for found in _SET.finditer(pattern):
        held = _ESCAPE.sub("x", found[2] or "")
        if (held.startswith("[") and not found[1]) or _OPERATION.search(held, 1):
            return True
    return False


def _size(node: Node) -> int:
    if isinstance(node, Chain):
        return 1 + sum(map(_size, node.parts))
    if isinstance(node, Either):
        return 1 + sum(map(_size, node.ways))
    if isinstance(node, Repeat):
        return 1 + _size(node.part) * max(1, node.least + 1 if node.most is None else node.most)
    return 1


def _sequence(items: Iterable[tuple[Any, Any]], flags: int, repeated: int, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        raise PatternError(f"nested more than {_MAX_DEPTH} deep")
    parts = tuple([_node(str(name), value, flags, repeated, depth) for name, value in items])
    return parts[0] if len(parts) == 1 else Chain(parts)


def _node(name: str, value: Any, flags: int, repeated: int, depth: int) -> Node:
    if name in _CHARACTERS:
        return Chars(_CHARACTERS[name](value, flags))
    if name == "AT":
        return Edge(_edge(str(value), flags))
    if name == "BRANCH":
        return Either(tuple([_sequence(way, flags, repeated, depth + 1) for way in value[1]]))
    if name == "SUBPATTERN":
        _, added, removed, inner = value
        return _sequence(inner, (flags | added) & ~removed, repeated, depth + 1)
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        return _repeat(value, flags, repeated, depth)
    raise PatternError(f"{_UNSUPPORTED.get(name, name.lower())} cannot be matched in linear time")


_UNSUPPORTED = {
    "ASSERT": "look-around",
    "ASSERT_NOT": "look-around",
    "GROUPREF": "a back-reference",
    "GROUPREF_IGNORE": "a back-reference",
    "GROUPREF_EXISTS": "a condition on a group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
}


def _repeat(value: Any, flags: int, repeated: int, depth: int) -> Repeat:
    least, most, inner = value
    end = None if most == _reader.MAXREPEAT else int(most)
    times = repeated * max(int(least), end or 0, 1)
    if times > MAX_REPEAT:
        raise PatternError(f"repeats more than {MAX_REPEAT} times")
    return Repeat(_sequence(inner, flags, times, depth + 1), int(least), end)


def _edge(name: str, flags: int) -> str:
    if name in ("AT_BEGINNING", "AT_END"):
        return ("line" if flags & re.MULTILINE else "text") + ("_start" if name == "AT_BEGINNING" else "_end")
    if name == "AT_NON_BOUNDARY":
        raise PatternError("\\B, a place that is no word boundary, is not read alike by all engines")
    return {"AT_BEGINNING_STRING": "text_start", "AT_END_STRING": "text_end", "AT_BOUNDARY": "boundary"}[name]


def _any(_value: Any, flags: int) -> tuple[Range, ...]:
    return ((0, LAST),) if flags & re.DOTALL else ((0, 9), (11, LAST))


def _literal(value: Any, flags: int) -> tuple[Range, ...]:
    return _cased(((value, value),)) if flags & re.IGNORECASE else ((value, value),)


def _not_literal(value: Any, flags: int) -> tuple[Range, ...]:
    return _complement(_literal(value, flags))


def _set(value: Sequence[tuple[Any, Any]], flags: int) -> tuple[Range, ...]:
    ranges: list[Range] = []
    negated = False
    for name, item in value:
        if str(name) == "NEGATE":
            negated = True
        elif str(name) == "CATEGORY":
            ranges += _category(str(item))
        else:
            ranges.append((item, item) if str(name) == "LITERAL" else item)
    merged = _merged(ranges)
    if flags & re.IGNORECASE:
        merged = _cased(merged)
    return _complement(merged) if negated else merged


_CHARACTERS: dict[str, Callable[[Any, int], tuple[Range, ...]]] = {
    "ANY": _any,
    "LITERAL": _literal,
    "NOT_LITERAL": _not_literal,
    "IN": _set,
}


def _category(name: str) -> tuple[Range, ...]:
    kind = {"DIGIT": _DIGIT, "SPACE": _SPACE, "WORD": _WORD}[name.rpartition("_")[2]]
    return _complement(kind) if "NOT" in name else kind


def _cased(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """Both cases of ASCII letters, and of a single character beyond."""
    found = list(ranges)
    for low, high in ranges:
        for first, last, shift in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)):
            start, end = max(low, first), min(high, last)
            if start <= end:
                found.append((start + shift, end + shift))
        if low == high > 0x7F:
            both = chr(low).lower() + chr(low).upper()
            found += [(ord(char), ord(char)) for char in both]
    return _merged(found)


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    found, start = [], 0
    for low, high in ranges:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)
