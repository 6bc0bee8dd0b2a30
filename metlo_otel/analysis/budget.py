"""How much of one core the analysis may take, and which records get it when there is not enough for all."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

_BURST = 2.0  # seconds of allowance that may be saved up, and owed
_SHAPES = 10_000
_FIRST_GUESS = 0.0005  # seconds of CPU time for one full analysis, until it is measured


class Budget:
    """`share` is the part of one core, 0.05 for 5 %. Used by one thread."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._last = clock()
        self._left = share * _BURST
        self._cost = _FIRST_GUESS
        self._shapes: OrderedDict[Hashable, None] = OrderedDict()
        self._second = int(self._last)
        self._given: Counter[Hashable] = Counter()
        self._endpoints = 1

    def allows(self, shape: Hashable, endpoint: Hashable, remarkable: bool) -> bool:
        """Whether a record is analysed in full: new shapes and remarkable ones first, then a fair sample."""
        self._refill()
        if self._is_new(shape) or remarkable:
            return self.allows_remarkable()
        if self._left <= 0 or self._given[endpoint] >= self._fair():
            return False
        self._given[endpoint] += 1
        return True

    def allows_remarkable(self) -> bool:
        """Whether there is time for one that must not wait for its turn: time may be owed for these."""
        return self._left > -self._share * _BURST

    def spend(self, seconds: float, full: bool) -> None:
        """Note the CPU time that a record has taken."""
        self._left -= seconds
        if full:
            self._cost += (seconds - self._cost) / 16

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._left + (now - self._last) * self._share, self._share * _BURST)
        self._last = now
        if int(now) != self._second:
            self._second = int(now)
            self._endpoints = max(1, len(self._given))
            self._given.clear()

    def _fair(self) -> float:
        """Full analyses that each of the endpoints of the last second may have in this one."""
        return max(1.0, self._share / self._cost / self._endpoints)

    def _is_new(self, shape: Hashable) -> bool:
        new = shape not in self._shapes
        self._shapes[shape] = None
        self._shapes.move_to_end(shape)
        if len(self._shapes) > _SHAPES:
            self._shapes.popitem(last=False)
        return new
