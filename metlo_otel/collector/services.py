"""Services: which answer at an endpoint, in what language and environment, and which call which."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.database import add_up, write_many
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import ENDPOINT_SERVICES, SERVICE_CALLS
from metlo_otel.collector.sums import SeriesKey, Sums
from metlo_otel.collector.trace import Trace

Calls = Counter[tuple[int, str, str, str]]
"""By endpoint, service, environment and language."""

MOST_SERVICES = 1_000  # names that are told apart; later ones are `*`
MOST_CALLS = 10_000  # pairs of services
OTHERS = "*"

_LONGEST, _LONGEST_ENVIRONMENT, _LONGEST_LANGUAGE = 255, 128, 32


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call; `callee` is a service's name, or the host that was called."""

    caller: str
    callee: str
    failed: bool


class Services:
    """Writes what services were seen; remembers the names that there are. For the writer's thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Believe nothing of what was remembered."""
        self._names: set[str] | None = None

    def note(self, connection: Connection, found: Iterable[tuple[int, Trace]]) -> None:
        """Count the calls of endpoints by the services that answered."""
        calls: Calls = Counter()
        for endpoint, trace in found:
            if trace.service:
                key = (endpoint, *self._names_of(connection, trace))
                calls[key] += 0 if trace.counted else 1
        _add(connection, calls)

    def note_sums(self, connection: Connection, documents: Iterable[Sums], endpoints: Mapping[SeriesKey, int]) -> None:
        """The same for what agents counted, with the endpoint of each series."""
        calls: Calls = Counter()
        for sums in documents:
            if sums.service:
                names = self._names_of(connection, sums)
                for key, each in sums.series.items():
                    counted = (endpoints[key], *names)
                    calls[counted] += each.calls
        _add(connection, calls)

    def _names_of(self, connection: Connection, told: Trace | Sums) -> tuple[str, str, str]:
        name = self._known(connection, storable(told.service or "", _LONGEST))
        environment = storable(told.environment or "", _LONGEST_ENVIRONMENT)
        return name, environment, storable(told.language or "", _LONGEST_LANGUAGE)

    def _known(self, connection: Connection, name: str) -> str:
        if self._names is None:
            self._names = set(connection.execute(select(ENDPOINT_SERVICES.c.service).distinct()).scalars())
        if name not in self._names:
            if len(self._names) >= MOST_SERVICES:
                return OTHERS
            self._names.add(name)
        return name


def _add(connection: Connection, calls: Calls) -> None:
    columns = ("endpoint_id", "service", "environment", "language")
    rows = [{**dict(zip(columns, key, strict=True)), "calls": count} for key, count in sorted(calls.items())]
    add_up(connection, ENDPOINT_SERVICES, rows, ["calls"])


def add_calls(connection: Connection, calls: Sequence[ServiceCall], now: int) -> None:
    """Add to who called whom, at `now` (ms)."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for call in calls:
        row = sums[storable(call.caller, _LONGEST), storable(call.callee, _LONGEST)]
        row[0] += 1
        row[1] += call.failed
    known: int = connection.execute(select(func.count()).select_from(SERVICE_CALLS)).scalar_one()
    if known + len(sums) > MOST_CALLS:
        sums = _known_calls(connection, sums)
    rows = [
        {"caller": caller, "callee": callee, "calls": number, "errors": errors, "last_seen": now}
        for (caller, callee), (number, errors) in sorted(sums.items())
    ]
    write_many(connection, _adding(connection.dialect.name), rows)


def _known_calls(connection: Connection, sums: dict[tuple[str, str], list[int]]) -> dict[tuple[str, str], list[int]]:
    """The sums of pairs that are known; of others the caller's calls to anybody else, else anybody's."""
    table = SERVICE_CALLS.c
    pairs = {(caller, callee) for caller, callee in connection.execute(select(table.caller, table.callee))}
    callers = {caller for caller, _ in pairs}
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for pair, (number, errors) in sums.items():
        row = found[pair if pair in pairs else (pair[0] if pair[0] in callers else OTHERS, OTHERS)]
        row[0] += number
        row[1] += errors
    return found


@lru_cache
def _adding(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(SERVICE_CALLS)
    sums = {name: SERVICE_CALLS.c[name] + statement.excluded[name] for name in ("calls", "errors")}
    changes = {**sums, "last_seen": statement.excluded.last_seen}
    return statement.on_conflict_do_update(index_elements=["caller", "callee"], set_=changes)
