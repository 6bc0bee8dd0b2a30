"""Letting requests go first: long work asks again and again whether somebody has waited for long enough."""

from __future__ import annotations

import time
from collections.abc import Callable

Turn = Callable[[], None]
"""Called between two steps of long work; what is called may give the interpreter's lock away."""

_LENGTH = 0.001  # seconds that a thread computes at most before the next step lets others go first


def no_turn() -> None:
    """For a thread that lets nobody go first."""


def _let_go() -> None:
    time.sleep(0)


class Turns:
    """Gives the interpreter's lock away, when somebody has had it for long enough."""

    def __init__(self, let_go: Turn = _let_go, clock: Callable[[], float] = time.perf_counter) -> None:
        self._let_go = let_go
        self._clock = clock
        self._until = 0.0

    def __call__(self) -> None:
        if self._clock() >= self._until:
            self._let_go()
            self._until = self._clock() + _LENGTH
