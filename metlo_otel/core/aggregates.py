"""What all requests add up to: calls, latencies and sizes by endpoint, counted in the process and sent as sums.

The request thread looks up a series and adds to it; everything else happens where `take` is called, once a second.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any, NamedTuple

from metlo_otel.core.histogram import PER_OCTAVE, Histogram, histogram

VERSION = 1
LANGUAGE = "python"  # `telemetry.sdk.language`, told with the service
MAX_SERIES = 2_000  # of one process between two sendings
MAX_ACTORS = 1_000
_GENUINE = 4_000  # series that are remembered to be genuine
AUTHENTICATIONS = ("none", "basic", "bearer", "cookie", "other")
SOURCES = ("public", "private", "unknown")


class Key(NamedTuple):
    """What tells series apart. `route` is the framework's template, else `path` a guessed one, else both are None.

    Media types are without parameters, in lower case, None where there is none; `authentication` and `source` are of
    AUTHENTICATIONS and SOURCES.
    """

    host: str
    method: str
    route: str | None
    path: str | None
    status: int
    request_type: str | None = None
    response_type: str | None = None
    authentication: str = "none"
    source: str = "unknown"

    @property
    def is_genuine(self) -> bool:
        """Whether it is the app that speaks for it, not whoever invented a path."""
        return self.route is not None or self.status < 400


def overflow_key(method: str) -> Key:
    """Where calls are counted for whose series there is no room."""
    return Key("*", method, None, "/*", 0)


@dataclass(slots=True)
class Series:
    """The sums of one key; latencies in microseconds, sizes in bytes."""

    calls: int = 0
    blocked: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    microseconds: float = 0.0
    least: float = float("inf")
    most: float = 0.0
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, microseconds: float, request_bytes: int, response_bytes: int, blocked: bool) -> None:
        """Count one call."""
        self.calls += 1
        if blocked:
            self.blocked += 1
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes
        self.microseconds += microseconds
        if microseconds < self.least:
            self.least = microseconds
        if microseconds > self.most:
            self.most = microseconds
        self.buckets[ceil(log2(microseconds) * PER_OCTAVE) - 1 if microseconds > 1 else -1] += 1  # its bucket_of()

    @property
    def latency(self) -> Histogram:
        """The latencies."""
        return histogram(self.buckets, self.microseconds, self.least if self.calls else 0.0, self.most)


@dataclass(frozen=True, slots=True)
class Taken:
    """Everything that was counted since the last time: `overflown` calls are in series of overflow_key().

    `alone` are the calls that nothing else tells of: they have no trace of their own.
    """

    series: Mapping[Key, Series]
    actors: Mapping[tuple[str, str], Actor]
    overflown: int = 0
    actors_overflown: int = 0
    alone: int = 0

    @property
    def calls(self) -> int:
        """How many requests these are."""
        return sum(series.calls for series in self.series.values())


@dataclass(slots=True)
class Actor:
    """The calls of one address or user."""

    calls: int = 0
    client_errors: int = 0
    server_errors: int = 0
    blocked: int = 0

    def add(self, status: int, blocked: bool) -> None:
        """Count one call."""
        self.calls += 1
        if blocked:
            self.blocked += 1
        if status >= 400:
            if status >= 500:
                self.server_errors += 1
            else:
                self.client_errors += 1


class Aggregates:
    """Counts, from any thread, into at most `most` series: invented ones overflow before genuine ones do.

    `alone` is how many calls were counted since the process began that no trace tells of.
    """

    def __init__(self, most: int = MAX_SERIES, most_actors: int = MAX_ACTORS) -> None:
        self.alone = 0
        self._most = most
        self._most_actors = most_actors
        self._invented = most // 4  # at most so many series are of keys that nobody but a client speaks for
        self._seen: dict[Key, None] = {}
        self.reset()

    def reset(self) -> None:
        """Begin at zero, with a lock that nobody holds: a forked child counts its own."""
        self._lock = threading.Lock()
        self.alone, self._taken = 0, False
        self._begin()

    def _begin(self) -> None:
        self._series: dict[Key, Series] = {}
        self._actors: dict[tuple[str, str], Actor] = {}
        self._strangers = self._alone = 0
        self._overflown = self._actors_overflown = 0

    @property
    def waiting(self) -> bool:
        """Whether anything was counted that is not sent, or given up, yet."""
        return self._taken or bool(self._series or self._alone)

    def add(
        self,
        key: Key,
        microseconds: float,
        request_bytes: int,
        response_bytes: int,
        blocked: bool,
        actor: str | None = None,
        alone: bool = False,
    ) -> None:
        """Count one call of a key, by an address where it is known; `alone`: no trace will tell of it."""
        with self._lock:
            if alone:
                self.alone += 1
                self._alone += 1
            if actor is not None:
                who = "address", actor
                known = self._actors.get(who) or self._new_actor(who)
                if known is not None:
                    known.add(key.status, blocked)
            (self._series.get(key) or self._new(key)).add(microseconds, request_bytes, response_bytes, blocked)

    def add_actor(self, kind: str, value: str, status: int, blocked: bool) -> None:
        """Count one call of an address or a user."""
        with self._lock:
            actor = self._actors.get((kind, value)) or self._new_actor((kind, value))
            if actor is not None:
                actor.add(status, blocked)

    def _new_actor(self, who: tuple[str, str]) -> Actor | None:
        """The counts of who has none yet; None where there is no room, and this call overflows."""
        if len(self._actors) >= self._most_actors:
            self._actors_overflown += 1
            return None
        actor = self._actors[who] = Actor()
        return actor

    def add_alone(self, calls: int) -> None:
        """So many calls were counted, and it is known by now that no trace will tell of them."""
        with self._lock:
            self.alone += calls
            self._alone += calls

    def alone_too(self) -> None:
        """A call that was counted has no trace after all."""
        with self._lock:
            self._alone += 1

    def take(self) -> Taken:
        """What was counted, which begins anew; until settled() or put_back() it counts as waiting."""
        with self._lock:
            taken = Taken(self._series, self._actors, self._overflown, self._actors_overflown, self._alone)
            self._taken = True
            self._begin()
        return taken

    def settled(self) -> None:
        """What was taken is sent, or given up."""
        self._taken = False

    def put_back(self, taken: Taken) -> None:
        """Count again what could not be sent; what has no room any more overflows."""
        with self._lock:
            self._taken = False
            self._alone += taken.alone
            for key, series in taken.series.items():
                _merge(self._series.get(key) or self._new(key, series.calls), series)
            self._overflown += taken.overflown
            self._actors_overflown += taken.actors_overflown
            for who, actor in taken.actors.items():
                self._put_back_actor(who, actor)

    def _put_back_actor(self, who: tuple[str, str], actor: Actor) -> None:
        known = self._actors.get(who)
        if known is None and len(self._actors) >= self._most_actors:
            self._actors_overflown += actor.calls
        elif known is None:
            self._actors[who] = actor
        else:
            for name in Actor.__slots__:
                setattr(known, name, getattr(known, name) + getattr(actor, name))

    def _new(self, key: Key, calls: int = 1) -> Series:
        """The series of a key that has none yet, or of what overflows."""
        genuine = key.is_genuine or key in self._seen
        if len(self._series) >= self._most or (not genuine and self._strangers >= self._invented):
            self._overflown += calls
            overflow = overflow_key(key.method)
            return self._series.setdefault(overflow, Series())
        if genuine:
            self._remember(key)
        else:
            self._strangers += 1
        found = self._series[key] = Series()
        return found

    def _remember(self, key: Key) -> None:
        self._seen[key] = None
        if len(self._seen) > _GENUINE:
            del self._seen[next(iter(self._seen))]


def _merge(into: Series, other: Series) -> None:
    for name in ("calls", "blocked", "request_bytes", "response_bytes", "microseconds"):
        setattr(into, name, getattr(into, name) + getattr(other, name))
    into.least, into.most = min(into.least, other.least), max(into.most, other.most)
    for bucket, count in other.buckets.items():
        into.buckets[bucket] += count


def document(taken: Taken, started: int, ended: int, environment: str, service: str | None = None) -> dict[str, Any]:
    """What was counted as it goes on the wire; times in milliseconds since the epoch."""
    return {
        "version": VERSION,
        "started": started,
        "ended": ended,
        "environment": environment,
        "service": service,
        **({"language": LANGUAGE} if service else {}),
        "series": [_series(key, series) for key, series in taken.series.items()],
        "actors": [_actor(kind, value, actor) for (kind, value), actor in taken.actors.items()],
        "overflow": {"series": taken.overflown, "actors": taken.actors_overflown},
    }


def _series(key: Key, series: Series) -> dict[str, Any]:
    latency = series.latency
    return {
        "host": key.host,
        "method": key.method,
        "route": key.route,
        "path": key.path,
        "status": key.status,
        "requestType": key.request_type,
        "responseType": key.response_type,
        "authentication": key.authentication,
        "source": key.source,
        "calls": series.calls,
        "blocked": series.blocked,
        "requestBytes": series.request_bytes,
        "responseBytes": series.response_bytes,
        "latency": {
            "scale": latency.scale,
            "offset": latency.offset,
            "counts": list(latency.counts),
            "sum": latency.sum,
            "min": latency.min,
            "max": latency.max,
        },
    }


def _actor(kind: str, value: str, actor: Actor) -> dict[str, Any]:
    return {
        "kind": kind,
        "value": value,
        "calls": actor.calls,
        "clientErrors": actor.client_errors,
        "serverErrors": actor.server_errors,
        "blocked": actor.blocked,
    }
