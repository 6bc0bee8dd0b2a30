"""Which of many patterns occur in a value: RE2 where it is installed, else our own automaton, with the same answers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from math import isqrt
from typing import Any, Protocol

from metlo_otel.core.automaton import Automaton
from metlo_otel.core.patterns import LAST, Chain, Chars, Edge, Either, Node, Range, parse_pattern
from metlo_otel.core.re2_sets import Re2Set

Hits = list[tuple[int, list[int]]]
"""Pairs of a value's index and the indexes of the patterns that occur in it."""


class Matcher(Protocol):
    """A set of patterns, ready to run."""

    def match(self, value: str) -> list[int]:
        """The sorted indexes of the patterns that occur in the value."""

    def match_all(self, values: Sequence[str]) -> Hits:
        """The same for many values; those without a hit are left out."""


class Patterns:
    """Regular expressions from outside, searched for in linear time, whatever they and the text are.

    Equal where their texts are. Raises PatternError for one that cannot be read, or not be run in linear time.
    """

    __slots__ = ("_match", "_nodes", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._nodes = [parse_pattern(text) for text in self.texts]
        self._match: Callable[[str], Sequence[int]] | None = None

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"Patterns({self.texts!r})"

    def found(self, text: str) -> Sequence[int]:
        """The sorted indexes of those that occur in a text."""
        if not self.texts:
            return ()
        match = self._match
        if match is None:  # made at the first use: most are never asked, and RE2 is a large module
            match = self._match = build_matcher(self._nodes).match
        return match(text)


def build_matcher(patterns: Sequence[Node], speed: bool | None = None) -> Matcher:
    """A matcher over parsed patterns; `speed` asks for RE2 (True), the automaton (False), or what is there (None).

    Raises ImportError where RE2 is asked for and google-re2 is not installed.
    """
    if speed is False or not patterns:
        return AutomatonMatcher(patterns)
    try:
        return Re2Matcher(patterns, importlib.import_module("re2"))
    except ImportError:
        if speed:
            raise
        return AutomatonMatcher(patterns)


class AutomatonMatcher:
    """The automaton of this package, one value after the other."""

    def __init__(self, patterns: Sequence[Node]) -> None:
        self._match = Automaton(patterns).match

    def match(self, value: str) -> list[int]:
        return sorted(self._match(value))

    def match_all(self, values: Sequence[str]) -> Hits:
        hits = []
        for index, value in enumerate(values):
            found = self._match(value)
            if found:
                hits.append((index, sorted(found)))
        return hits


class Re2Matcher:
    """RE2's pattern sets. Values are first tried as one text, a line each, then by groups, then one by one."""

    def __init__(self, patterns: Sequence[Node], re2: Any) -> None:
        self._exact: Re2Set[str] = Re2Set(re2, [to_re2(node) for node in patterns])
        self._lines: Re2Set[str] = Re2Set(re2, [to_re2(node, lines=True) for node in patterns])

    def match(self, value: str) -> list[int]:
        try:
            found = self._exact.match(value)
        except UnicodeEncodeError:
            found = self._exact.match(_encodable(value))
        return sorted(found or ())

    def match_all(self, values: Sequence[str]) -> Hits:
        try:
            anything = self._lines.match("\n".join(values))
        except UnicodeEncodeError:
            return self.match_all([_encodable(value) for value in values])
        return self._by_groups(values) if anything is not None else []

    def _by_groups(self, values: Sequence[str]) -> Hits:
        hits = []
        size = isqrt(len(values)) + 1
        for start in range(0, len(values), size):
            group = values[start : start + size]
            if self._lines.match("\n".join(group)) is not None:
                for index, value in enumerate(group, start):
                    found = self._exact.match(value)
                    if found:
                        hits.append((index, sorted(found)))
        return hits


def to_re2(node: Node, lines: bool = False) -> str:
    """The pattern in RE2's syntax; with `lines`, the text's edges are also those of a line (for joined values)."""
    if isinstance(node, Chars):
        return "[" + "".join(_re2_range(*span) for span in _without_surrogates(node.ranges)) + "]"
    if isinstance(node, Edge):
        return _RE2_LINES.get(node.kind, _RE2_EDGES[node.kind]) if lines else _RE2_EDGES[node.kind]
    if isinstance(node, Chain):
        return "".join(f"(?:{to_re2(part, lines)})" for part in node.parts)
    if isinstance(node, Either):
        return "|".join(f"(?:{to_re2(way, lines)})" for way in node.ways)
    most = "" if node.most is None else str(node.most)
    return f"(?:{to_re2(node.part, lines)}){{{node.least},{most}}}"


_RE2_EDGES = {
    "text_start": r"\A",
    "text_end": r"\z",
    "line_start": "(?m:^)",
    "line_end": "(?m:$)",
    "boundary": r"\b",
}
_RE2_LINES = {"text_start": "(?m:^)", "text_end": "(?m:$)"}


def _re2_range(low: int, high: int) -> str:
    return f"\\x{{{low:x}}}" if low == high else f"\\x{{{low:x}}}-\\x{{{high:x}}}"


def _without_surrogates(ranges: Iterable[Range]) -> list[Range]:
    found = []
    for low, high in ranges:
        found += [(low, min(high, 0xD7FF)), (max(low, 0xE000), high)]
    kept = [span for span in found if span[0] <= span[1]]
    return kept or [(LAST, LAST)]  # a class of nothing: the last code point is no character


def _encodable(value: str) -> str:
    """The value with halves of surrogate pairs as question marks: RE2 reads UTF-8, which has none."""
    return value.encode("utf-8", "replace").decode()
