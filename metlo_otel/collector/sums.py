"""What agents counted of all their requests, checked: sums by endpoint and status, and calls by who made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from operator import add
from typing import TypeVar

from metlo_otel.core.histogram import Histogram

T = TypeVar("T")
Counts = tuple[int, ...]
"""Calls, client errors, server errors and blocked."""

_ACTORS_AT_ONCE = 5_000  # that are counted of what is written together


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What tells series apart; the names are those that a trace has. `path` is a template that was guessed, empty for
    calls that belong to no endpoint of their own; `status` is 0 where nobody knows it.
    """

    host: str
    method: str
    route: str | None
    path: str
    status: int
    media: tuple[str, str] = ("", "")
    authenticated: bool = False
    auth_type: str | None = None
    public: bool = False

    @property
    def operations(self) -> tuple[str, ...]:
        """GraphQL's are not told apart."""
        return ()


@dataclass(slots=True)
class Summed:
    """The sums of one series; latencies in microseconds, sizes in bytes."""

    key: SeriesKey
    calls: int
    blocked: int
    request_bytes: int
    response_bytes: int
    latencies: list[Histogram]

    @property
    def shape(self) -> int:
        """A number for all that facts come from."""
        return hash((self.key, self.calls > self.blocked))

    def add(self, other: Summed) -> None:
        """Add another's sums."""
        self.calls += other.calls
        self.blocked += other.blocked
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.latencies += other.latencies


@dataclass(frozen=True, slots=True)
class Sums:
    """One document, or several together. `actors` has calls, client errors, server errors and blocked by kind and
    value; `left_out` are calls that no actor has. `service`, `environment` and `language` are of one document.
    """

    series: Mapping[SeriesKey, Summed]
    actors: Mapping[tuple[str, str], Counts] = field(repr=False, default_factory=dict)
    left_out: int = 0
    service: str | None = None
    environment: str | None = None
    language: str | None = None


def together(documents: Iterable[Sums]) -> Sums:
    """The sums of all documents; of very many actors those with most calls."""
    series: dict[SeriesKey, Summed] = {}
    actors: dict[tuple[str, str], Counts] = {}
    left_out = 0
    for document in documents:
        left_out += document.left_out
        for key, each in document.series.items():
            known = series.get(key)
            if known is None:
                sums = (each.calls, each.blocked, each.request_bytes, each.response_bytes)
                series[key] = Summed(key, *sums, each.latencies.copy())
            else:
                known.add(each)
        for who, counts in document.actors.items():
            had = actors.get(who)
            actors[who] = tuple(map(add, had, counts)) if had else counts
    if len(actors) > _ACTORS_AT_ONCE:
        most = nlargest(_ACTORS_AT_ONCE, actors.items(), key=lambda item: item[1][0])
        left_out += sum(counts[0] for counts in actors.values()) - sum(counts[0] for _, counts in most)
        actors = dict(most)
    return Sums(series, actors, left_out)
