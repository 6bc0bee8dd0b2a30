"""Which of many patterns occur in a value: RE2 where it is installed, else our own automaton, with the same answers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any, Protocol

from metlo_otel.analysis.automaton import Automaton
from metlo_otel.analysis.patterns import Node, to_re2

_MEMORY = 64 << 20  # bytes that RE2 may use for one set's states

Hits = list[tuple[int, list[int]]]
"""Pairs of a value's index and the indexes of the patterns that occur in it."""


class Matcher(Protocol):
    """A set of patterns, ready to run."""

    def match(self, value: str) -> list[int]:
        """The sorted indexes of the patterns that occur in the value."""

    def match_all(self, values: Sequence[str]) -> Hits:
        """The same for many values; those without a hit are left out."""


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
        self._exact = _re2_set(re2, [to_re2(node) for node in patterns])
        self._lines = _re2_set(re2, [to_re2(node, lines=True) for node in patterns])

    def match(self, value: str) -> list[int]:
        try:
            found = self._exact(value)
        except UnicodeEncodeError:
            found = self._exact(_encodable(value))
        return sorted(found or ())

    def match_all(self, values: Sequence[str]) -> Hits:
        try:
            anything = self._lines("\n".join(values))
        except UnicodeEncodeError:
            return self.match_all([_encodable(value) for value in values])
        return self._by_groups(values) if anything is not None else []

    def _by_groups(self, values: Sequence[str]) -> Hits:
        hits = []
        size = isqrt(len(values)) + 1
        for start in range(0, len(values), size):
            group = values[start : start + size]
            if self._lines("\n".join(group)) is not None:
                for index, value in enumerate(group, start):
                    found = self._exact(value)
                    if found:
                        hits.append((index, sorted(found)))
        return hits


def _re2_set(re2: Any, patterns: Sequence[str]) -> Callable[[str], list[int] | None]:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    found = re2.Set.SearchSet(options)
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    match: Callable[[str], list[int] | None] = found.Match  # None where nothing occurs
    return match


def _encodable(value: str) -> str:
    """The value with halves of surrogate pairs as question marks: RE2 reads UTF-8, which has none."""
    return value.encode("utf-8", "replace").decode()
