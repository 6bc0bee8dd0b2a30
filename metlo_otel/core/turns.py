"""Letting requests go first: long work asks again and again whether somebody has waited for long enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Turn = Callable[[], bool | None]
"""Called between two steps of long work; it may give the interpreter's lock away. True: the time for it is over."""

_SECONDS, _STEP = 0.0042, 65_536  # of CPU time that a request's thread looks at each started so many bytes
_LITTLE = 8192  # bytes
_LENGTH = 0.001  # seconds that a thread computes at most before the next step lets others go first


def no_turn() -> None:
    """For a thread that lets nobody go first."""


class Patience:
    """Says when the CPU time is over that looking at so many bytes may take; asked again and again, it stays over.

    For less than 8 KiB it never is: so little is read soon, and a collection of garbage meanwhile takes longer.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._end = clock() + _SECONDS * -(-size // _STEP) if size > _LITTLE else math.inf
        self.is_over = False

    def __call__(self) -> bool:
        self.is_over = self.is_over or self._clock() > self._end
        return self.is_over


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
