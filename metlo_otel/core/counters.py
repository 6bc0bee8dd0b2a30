"""What the agent did so far, in numbers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers at one moment. `dropped` is keyed by reason; `queue_bytes` is what the waiting exchanges hold."""

    captured: int
    sent: int
    dropped: Mapping[str, int]
    retried: int
    blocked: int
    queue_items: int
    queue_bytes: int
    worker_cpu_seconds: float


class Counters:
    """Counts, from any thread. `captured` is the queue's to add to, under its own lock: it counts what is put."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin at zero, with a lock that nobody holds: a forked child counts its own."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._cpu = 0.0
        self.captured = 0

    def add(self, name: str, count: int = 1) -> None:
        """Count `sent`, `retried` or `blocked`."""
        with self._lock:
            self._counts[name] += count

    def drop(self, reason: str, count: int = 1) -> None:
        """Count exchanges that will never be sent."""
        with self._lock:
            self._dropped[reason] += count

    def spend(self, seconds: float) -> None:
        """Add to the worker's CPU time."""
        with self._lock:
            self._cpu += seconds

    def stats(self, queue_items: int = 0, queue_bytes: int = 0) -> Stats:
        """The numbers now."""
        with self._lock:
            counts, dropped = self._counts.copy(), MappingProxyType(dict(self._dropped))
            cpu = self._cpu
        named = {name: counts[name] for name in ("sent", "retried", "blocked")}
        return Stats(
            **named,
            captured=self.captured,
            dropped=dropped,
            queue_items=queue_items,
            queue_bytes=queue_bytes,
            worker_cpu_seconds=cpu,
        )
