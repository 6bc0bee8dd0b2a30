"""Sets of patterns for RE2, which a forked process makes anew where the parent may have been in the middle of one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

Text = TypeVar("Text", str, bytes)

_MEMORY = 64 << 20  # bytes that RE2 may use for the states of one set


class Re2Set(Generic[Text]):
    """`match` gives the indexes of the patterns that occur in a text, None where none does. Compiled when it is made.

    RE2 lets Python's lock go while it searches and holds locks of its own, which in a child that was forked just then
    nobody gives back.
    """

    def __init__(self, re2: Any, patterns: Sequence[str]) -> None:
        self._re2 = re2
        self._patterns = tuple(patterns)
        self._found = self._compiled()
        self.match: Callable[[Text], list[int] | None] = self._found.Match
        _sets.add(self)

    def _compiled(self) -> Any:
        options = self._re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        found = self._re2.Set.SearchSet(options)  # tells without looking for the place, which takes as long again
        for pattern in self._patterns:
            found.Add(pattern)
        found.Compile()
        return found

    def abandon(self) -> None:
        """Compile anew at the next search; the set that is left is kept, for its end would wait for its locks too."""
        _abandoned.append(self._found)
        self.match = self._first

    def _first(self, text: Text) -> list[int] | None:
        self._found = self._compiled()
        self.match = self._found.Match
        return self.match(text)


_sets: weakref.WeakSet[Re2Set[Any]] = weakref.WeakSet()
_abandoned: list[Any] = []
_others = [False]  # whether there were other threads at the fork; before it, servers like gunicorn have none


def _before() -> None:
    _others[0] = threading.active_count() > 1


def _in_child() -> None:
    if _others[0]:
        for item in list(_sets):
            item.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_child)
