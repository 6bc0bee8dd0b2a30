"""Exchanges that wait for the worker: bounded in number and bytes, the oldest leave first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from metlo_otel.core.counters import Counters
from metlo_otel.core.exchange import Exchange


def _nothing() -> bool:
    return False


class ExchangeQueue:
    """A queue between the request threads and the worker. What is taken counts as in flight until it is done.

    `waiting` are the exchanges, the oldest first, `bytes` what they hold, about; `in_flight` is how many were taken.
    What is put is counted as captured, what leaves for want of room as dropped. `batch` is as much as is worth a batch,
    in exchanges and in bytes. `also` says whether something beside the queue waits to be sent.
    """

    def __init__(self, counters: Counters, max_exchanges: int, max_bytes: int, batch: tuple[int, int]) -> None:
        self._counters = counters
        self._max_exchanges = max_exchanges
        self._max_bytes = max_bytes
        self.also: Callable[[], bool] = _nothing
        self._batch = min(batch[0], max_exchanges)
        self._batch_bytes = min(batch[1], max_bytes)
        self.clear()

    def clear(self) -> None:
        """Begin empty, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self.waiting: deque[Exchange] = deque()
        self.bytes = 0
        self.in_flight = 0

    def put(self, exchange: Exchange) -> bool:
        """Add an exchange, and drop the oldest where it needs their room; itself where it can never fit.

        Returns whether the worker should look: because it is the first that waits, or as much as a batch waits.
        """
        size = exchange.size = exchange.memory()
        with self._lock:
            self._counters.captured += 1
            self.waiting.append(exchange)
            total = self.bytes = self.bytes + size
            if len(self.waiting) < self._batch and total < self._batch_bytes:  # nearly always: as little as can be
                return len(self.waiting) == 1
            dropped = self._make_room(size)
        if dropped:
            self._counters.refuse("queue_full", dropped)
        return True

    def turn_away(self, reason: str) -> None:
        """Count an exchange that is captured and dropped at once."""
        with self._lock:
            self._counters.captured += 1
        self._counters.refuse(reason)

    def _make_room(self, newest_size: int) -> int:
        dropped = 0
        if newest_size > self._max_bytes:
            self.bytes -= self.waiting.pop().size
            dropped += 1
        while len(self.waiting) > self._max_exchanges or self.bytes > self._max_bytes:
            self.bytes -= self.waiting.popleft().size
            dropped += 1
        return dropped

    def drain(self) -> int:
        """Drop what waits; how many that were. Who calls this counts them."""
        with self._lock:
            count = len(self.waiting)
            self.waiting.clear()
            self.bytes = 0
            self._empty.notify_all()
        return count

    def take(self, most: int, most_bytes: int) -> list[Exchange]:
        """The oldest exchanges, as many as fit, at least one where there is one; they are in flight until done()."""
        found: list[Exchange] = []
        with self._lock:
            total = 0
            while self.waiting and len(found) < most and (not found or total + self.waiting[0].size <= most_bytes):
                exchange = self.waiting.popleft()
                total += exchange.size
                found.append(exchange)
            self.bytes -= total
            self.in_flight = len(found)
        self._counters.take(len(found))
        return found

    def put_back(self, exchanges: list[Exchange]) -> None:
        """Have some that were taken wait again, the newest first; they had their room before."""
        if not exchanges:
            return
        self._counters.take(-len(exchanges))
        with self._lock:
            self.waiting.extendleft(exchanges)
            self.bytes += sum([exchange.size for exchange in exchanges])
            self.in_flight -= len(exchanges)

    def done(self) -> None:
        """What was taken is dealt with."""
        with self._lock:
            self.in_flight = 0
            if not self.waiting:
                self._empty.notify_all()

    def wait_empty(self, deadline: float) -> bool:
        """Wait until nothing waits and nothing is in flight, at most until time.monotonic() is `deadline`."""
        with self._lock:
            while self.waiting or self.in_flight or self.also():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._empty.wait(left)
        return True

    def __len__(self) -> int:
        return len(self.waiting)
