"""Rate limits: what is counted, the stores that count, and the one inside the process."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from metlo_otel.blocking.rules import RateLimit

CLIENTS = 32_768  # counted at a time: 16 MB where most sent one request, 57 MB where all fill their windows
CELLS = 32
PATIENCE = 0.05  # seconds to wait for a lock before the request passes uncounted


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule's limit; `id` names its counters and changes with the numbers, so that a new limit starts
    afresh.
    """

    id: str
    threshold: int
    interval: float
    duration: float

    @classmethod
    def of(cls, rule: str, limit: RateLimit) -> Limit:
        """The limit of the rule with this id."""
        numbers = f"{limit.threshold}/{limit.interval}/{limit.duration}"
        return cls(f"{rule}\x1e{numbers}", limit.threshold, limit.interval, limit.duration)


class Store(Protocol):
    """Where requests are counted. Both calls answer 0 where the request passes, else the seconds to wait.

    A store that cannot answer lets the request pass.
    """

    def hit(self, limit: Limit, key: str, now: float) -> float:
        """Count a request of the client `key`; `now` in seconds since the epoch."""

    def check(self, limit: Limit, key: str, now: float) -> float:
        """Ask for a request that is only counted when its response is known."""

    def close(self) -> None:
        """Let go of files and connections."""


class Window:
    """The requests of one client that passed in the last interval, and until when the client is out.

    Up to CELLS requests are kept one by one, which is exact. Above that, requests of the same short slice of
    the interval share a cell that leaves the window with its newest request: never more than the threshold
    pass in any interval, and whoever sends all the time gets about 3 % less.
    """

    __slots__ = ("counts", "expires", "times", "total", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.expires = 0.0
        self.total = 0
        self.times: list[float] = []
        self.counts: list[int] = []

    def wait(self, limit: Limit, now: float) -> float:
        """How long who asks must wait, 0 to pass; starts the time out where the window is full."""
        if now < self.until <= now + limit.duration:  # a clock that was set back must not lock anybody out
            return self.until - now
        if self.total < limit.threshold:
            return 0.0
        self.slide(limit.interval, now)
        if self.total < limit.threshold:
            return 0.0
        if not limit.duration:
            return max(self.times[0] + limit.interval - now, 0.001)
        self.until = now + limit.duration
        self.expires = max(self.expires, self.until)
        return limit.duration

    def slide(self, interval: float, now: float) -> None:
        """Drop the cells that left the window, and all where they lie in the future (clock set back)."""
        gone = bisect_right(self.times, now - interval)
        if self.times and self.times[0] > now + interval:
            gone = len(self.times)
        self.total -= sum(self.counts[:gone])
        del self.times[:gone], self.counts[:gone]

    def add(self, limit: Limit, now: float) -> None:
        """Note a request that passes."""
        self.total += 1
        self.expires = now + limit.interval
        times = self.times
        if len(times) == CELLS:
            self.slide(limit.interval, now)
        if times and limit.threshold > CELLS:
            width = limit.interval / (CELLS - 1)
            if len(times) == CELLS or now // width <= times[-1] // width:
                times[-1] = max(now, times[-1])
                self.counts[-1] += 1
                return
        times.append(now)
        self.counts.append(1)


class LocalStore:
    """Counters of this process alone, for at most `most` clients: the one not seen for longest makes room."""

    __slots__ = ("_lock", "_most", "_pid", "_windows")

    def __init__(self, most: int = CLIENTS) -> None:
        self._most = most
        self._windows: OrderedDict[int, Window] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._windows)

    def hit(self, limit: Limit, key: str, now: float) -> float:
        """Count a request: 0 where it passes, else the seconds to wait."""
        if not self._locked():
            return 0.0
        try:
            number = hash((limit.id, key))
            window = self._windows.get(number)
            if window is None:
                window = self._make_room(number, now)
            else:
                self._windows.move_to_end(number)
            wait = window.wait(limit, now)
            if not wait:
                window.add(limit, now)
            return wait
        finally:
            self._lock.release()

    def check(self, limit: Limit, key: str, now: float) -> float:
        """As `hit` for a request that is not counted yet."""
        if not self._locked():
            return 0.0
        try:
            window = self._windows.get(hash((limit.id, key)))
            return window.wait(limit, now) if window else 0.0
        finally:
            self._lock.release()

    def close(self) -> None:
        """Forget all counts."""
        self._windows.clear()

    def _make_room(self, number: int, now: float) -> Window:
        """A new window; the oldest ones go where they have expired (two at most) or the store is full."""
        windows = self._windows
        for _ in range(2):
            if windows and (len(windows) >= self._most or next(iter(windows.values())).expires <= now):
                windows.popitem(last=False)
        window = windows[number] = Window()
        return window

    def _locked(self) -> bool:
        if self._lock.acquire(timeout=PATIENCE):
            return True
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()  # forked while another thread counted: its lock has no owner here
        self._lock = threading.Lock()
        return self._lock.acquire(timeout=PATIENCE)
