"""Counting calls: by endpoint, by status, by minute, and by who sent them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, update
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.database import add_up, write_many
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import ACTORS, COUNTS, ENDPOINTS, MINUTES, STATUSES, TOTALS
from metlo_otel.collector.sums import Summed
from metlo_otel.collector.trace import Trace

Located = Sequence[tuple[int, Trace]]
"""Traces, each with the id of its endpoint."""

_LONGEST_VALUE = 255

_SEEN = (
    update(ENDPOINTS)
    .where(ENDPOINTS.c.id == bindparam("endpoint"))
    .values(
        last_seen=case((ENDPOINTS.c.last_seen < bindparam("seen"), bindparam("seen")), else_=ENDPOINTS.c.last_seen),
        **{name: ENDPOINTS.c[name] + bindparam("more_" + name) for name in COUNTS},
    )
)


class Counts:
    """What is to be added: rows of COUNTS by endpoint and by actor (kind and value), and calls by status."""

    def __init__(self) -> None:
        self.endpoints: dict[int, list[int]] = defaultdict(_zeros)
        self.statuses: Counter[tuple[int, int]] = Counter()
        self.actors: dict[tuple[str, str], list[int]] = defaultdict(_zeros)


def counts_of_traces(found: Located) -> Counts:
    """What traces count; of those whose calls are in sums only the attacks."""
    counts = Counts()
    for endpoint, trace in found:
        _add(counts.endpoints[endpoint], trace)
        if not trace.counted and trace.status:
            counts.statuses[endpoint, trace.status] += 1
        for kind, value in (("address", trace.source), ("session", trace.session), ("user", trace.user)):
            if value:
                _add(counts.actors[kind, value], trace)
    return counts


def counts_of_sums(found: Iterable[tuple[int, Summed]], actors: Mapping[tuple[str, str], Sequence[int]]) -> Counts:
    """What sums count; attacks are none of theirs."""
    counts = Counts()
    for endpoint, each in found:
        row, status = counts.endpoints[endpoint], each.key.status
        row[0] += each.calls
        if status >= 400:
            row[1 if status < 500 else 2] += each.calls
        row[4] += each.blocked
        if status:
            counts.statuses[endpoint, status] += each.calls
    for who, (calls, client_errors, server_errors, blocked) in actors.items():
        counts.actors[who] = [calls, client_errors, server_errors, 0, blocked]
    return counts


def _zeros() -> list[int]:
    return [0] * len(COUNTS)


def _add(row: list[int], trace: Trace) -> None:
    if trace.attacks:
        row[3] += 1
    if trace.counted:
        return
    row[0] += 1
    if trace.status >= 400:
        row[1 if trace.status < 500 else 2] += 1
    if trace.blocked:
        row[4] += 1


def count(connection: Connection, counts: Counts, now: int) -> None:
    """Add to all counts; in order of the keys, so that two processes cannot wait for each other for ever."""
    rows = [(key, dict(zip(COUNTS, row, strict=True))) for key, row in sorted(counts.endpoints.items())]
    write_many(connection, _SEEN, [_seen(endpoint, row, now) for endpoint, row in rows])
    statuses = sorted(counts.statuses.items())
    by_status = [{"endpoint_id": key, "status": status, "calls": calls} for (key, status), calls in statuses]
    add_up(connection, STATUSES, by_status, ["calls"])
    minute = now // 60_000
    add_up(connection, MINUTES, [{"endpoint_id": key, "minute": minute, **row} for key, row in rows], COUNTS)
    actors = [_actor(kind, value, row, now) for (kind, value), row in sorted(counts.actors.items())]
    write_many(connection, _adding_actors(connection.dialect.name), actors)
    total = {name: sum(row[name] for _, row in rows) for name in COUNTS}
    add_up(connection, TOTALS, [{"minute": minute, **total}], COUNTS)


def _seen(endpoint: int, row: dict[str, int], now: int) -> dict[str, int]:
    return {"endpoint": endpoint, "seen": now, **{"more_" + name: value for name, value in row.items()}}


@lru_cache
def _adding_actors(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(ACTORS)
    sums = {name: ACTORS.c[name] + statement.excluded[name] for name in COUNTS}
    changes = {**sums, "last_seen": statement.excluded.last_seen}
    return statement.on_conflict_do_update(index_elements=["kind", "value"], set_=changes)


def _actor(kind: str, value: str, row: list[int], now: int) -> dict[str, Any]:
    counts = dict(zip(COUNTS, row, strict=True))
    return {"kind": kind, "value": storable(value, _LONGEST_VALUE), **counts, "first_seen": now, "last_seen": now}
