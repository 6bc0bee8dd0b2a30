"""What the agent did so far, in numbers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers at one moment. `dropped` is keyed by reason, `incomplete` by why a request
    was not inspected in full; `queue_bytes` is what the waiting exchanges hold.

    `counted` are the requests that the collector has in aggregates and nowhere else. `captured` is `sent`, `counted`,
    all that was dropped and `queue_items` together: what waits, or is on its way.
    """

    captured: int
    sent: int
    dropped: Mapping[str, int]
    retried: int
    blocked: int
    queue_items: int
    queue_bytes: int
    worker_cpu_seconds: float
    incomplete: Mapping[str, int] = field(default_factory=dict)
    counted: int = 0


class Counters:
    """Counts, from any thread. `alone` says how many requests were captured that aggregates alone tell of.
    `captured` is the queue's to add to, under its own lock: it counts what is put.

    What the worker has taken and neither sent nor dropped is held; it can be lost, all at once and counted exactly.
    """

    def __init__(self, alone: Callable[[], int] = lambda: 0) -> None:
        self._alone = alone
        self.reset()

    def reset(self) -> None:
        """Begin at zero, with a lock that nobody holds: a forked child counts its own."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._incomplete: Counter[str] = Counter()
        self._cpu = 0.0
        self._held = 0
        self._ended = False
        self.captured = 0

    def add(self, name: str, count: int = 1) -> None:
        """Count `retried` or `blocked`."""
        with self._lock:
            self._counts[name] += count

    def take(self, count: int) -> None:
        """Count exchanges that the worker holds from now on."""
        with self._lock:
            self._held += count

    def sent(self, count: int) -> None:
        """Count held exchanges that the collector has taken."""
        with self._lock:
            if not self._ended:
                self._held -= count
                self._counts["sent"] += count

    def counted(self, count: int) -> None:
        """Count requests that the collector has taken in aggregates alone."""
        with self._lock:
            if not self._ended:
                self._counts["counted"] += count

    def let_go(self) -> None:
        """Count a held exchange that aggregates alone will tell of: it waits as these do."""
        with self._lock:
            self._held -= 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count held exchanges that will never be sent."""
        with self._lock:
            if not self._ended:
                self._held -= count
                self._dropped[reason] += count

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count exchanges that the worker never gets."""
        if count:
            with self._lock:
                self._dropped[reason] += count

    def lose(self, reason: str, ended: bool = False) -> int:
        """Count all that is held as dropped; how many that is. Once `ended`, what becomes of it does not count."""
        with self._lock:
            lost, self._held = max(self._held, 0), 0
            self._ended = self._ended or ended
            if lost:
                self._dropped[reason] += lost
        return lost

    def leave(self, reasons: Iterable[str]) -> None:
        """Count why a request was not inspected in full."""
        with self._lock:
            self._incomplete.update(reasons)

    def spend(self, seconds: float) -> None:
        """Add to the worker's CPU time."""
        with self._lock:
            self._cpu += seconds

    def stats(self, queue_bytes: int = 0) -> Stats:
        """The numbers now."""
        with self._lock:
            counts, dropped = self._counts.copy(), MappingProxyType(dict(self._dropped))
            cpu, captured = self._cpu, self.captured + self._alone()
            incomplete = MappingProxyType(dict(self._incomplete))
        settled = counts["sent"] + counts["counted"] + sum(dropped.values())
        return Stats(
            captured=captured,
            sent=counts["sent"],
            dropped=dropped,
            incomplete=incomplete,
            counted=counts["counted"],
            retried=counts["retried"],
            blocked=counts["blocked"],
            queue_items=max(captured - settled, 0),  # an exporter in somebody else's processor captures nothing
            queue_bytes=queue_bytes,
            worker_cpu_seconds=cpu,
        )

    def keep(self, gone: Counters) -> None:
        """Add the numbers of counters that nobody uses any more."""
        stats = gone.stats()
        with self._lock:
            self.captured += stats.captured
            self._cpu += stats.worker_cpu_seconds
            self._dropped.update(stats.dropped)
            self._counts.update({name: getattr(stats, name) for name in ("sent", "counted", "retried", "blocked")})
