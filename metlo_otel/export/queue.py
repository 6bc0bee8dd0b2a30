"""Exchanges that wait for the worker: bounded in number and bytes, the oldest leave first."""

from __future__ import annotations

import threading
import time
from collections import deque

from metlo_otel.core.exchange import Exchange


class ExchangeQueue:
    """A queue between the request threads and the worker. What is taken counts as in flight until it is done."""

    def __init__(self, max_exchanges: int, max_bytes: int) -> None:
        self._max_exchanges = max_exchanges
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Begin empty, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._waiting: deque[tuple[Exchange, int]] = deque()
        self._bytes = 0
        self._in_flight = 0

    def put(self, exchange: Exchange) -> int:
        """Add an exchange; how many were dropped to make room, itself included where it can never fit."""
        size = exchange.memory()
        if size > self._max_bytes:
            return 1
        dropped = 0
        with self._lock:
            self._waiting.append((exchange, size))
            self._bytes += size
            while len(self._waiting) > self._max_exchanges or self._bytes > self._max_bytes:
                self._bytes -= self._waiting.popleft()[1]
                dropped += 1
        return dropped

    def take(self, most: int, most_bytes: int) -> list[Exchange]:
        """The oldest exchanges, as many as fit, at least one where there is one; they are in flight until done()."""
        found: list[Exchange] = []
        with self._lock:
            total = 0
            while self._waiting and len(found) < most and (not found or total + self._waiting[0][1] <= most_bytes):
                exchange, size = self._waiting.popleft()
                total += size
                found.append(exchange)
            self._bytes -= total
            self._in_flight = len(found)
        return found

    def done(self) -> None:
        """What was taken is dealt with."""
        with self._lock:
            self._in_flight = 0
            if not self._waiting:
                self._empty.notify_all()

    def wait_empty(self, deadline: float) -> bool:
        """Wait until nothing waits and nothing is in flight, at most until time.monotonic() is `deadline`."""
        with self._lock:
            while self._waiting or self._in_flight:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._empty.wait(left)
        return True

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """What the waiting exchanges hold, about."""
        return self._bytes
