"""Counting traces: by endpoint, by status, by minute, and by who sent them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, update
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.database import add_up, write_many
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import ACTORS, COUNTS, ENDPOINTS, MINUTES, STATUSES, TOTALS
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


def count(connection: Connection, found: Located, now: int) -> None:
    """Add to all counts; in order of the keys, so that two processes cannot wait for each other for ever."""
    rows = _by_endpoint(found)
    write_many(connection, _SEEN, [_seen(endpoint, row, now) for endpoint, row in rows])
    _count_statuses(connection, found)
    minute = now // 60_000
    add_up(connection, MINUTES, [{"endpoint_id": key, "minute": minute, **row} for key, row in rows], COUNTS)
    _count_actors(connection, found, now)
    total = {name: sum(row[name] for _, row in rows) for name in COUNTS}
    add_up(connection, TOTALS, [{"minute": minute, **total}], COUNTS)


def _by_endpoint(found: Located) -> list[tuple[int, dict[str, int]]]:
    rows: dict[int, list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for endpoint, trace in found:
        _add(rows[endpoint], trace)
    return [(key, dict(zip(COUNTS, row, strict=True))) for key, row in sorted(rows.items())]


def _add(row: list[int], trace: Trace) -> None:
    row[0] += 1
    if trace.status >= 400:
        row[1 if trace.status < 500 else 2] += 1
    if trace.attacks:
        row[3] += 1
    if trace.blocked:
        row[4] += 1


def _seen(endpoint: int, row: dict[str, int], now: int) -> dict[str, int]:
    return {"endpoint": endpoint, "seen": now, **{"more_" + name: value for name, value in row.items()}}


def _count_statuses(connection: Connection, found: Located) -> None:
    statuses = Counter((endpoint, trace.status) for endpoint, trace in found)
    rows = [{"endpoint_id": key, "status": status, "calls": n} for (key, status), n in sorted(statuses.items())]
    add_up(connection, STATUSES, rows, ["calls"])


def _count_actors(connection: Connection, found: Located, now: int) -> None:
    rows: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for _, trace in found:
        for kind, value in (("address", trace.source), ("session", trace.session), ("user", trace.user)):
            if value:
                _add(rows[kind, value], trace)
    actors = [_actor(kind, value, row, now) for (kind, value), row in sorted(rows.items())]
    write_many(connection, _adding_actors(connection.dialect.name), actors)


@lru_cache
def _adding_actors(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(ACTORS)
    sums = {name: ACTORS.c[name] + statement.excluded[name] for name in COUNTS}
    changes = {**sums, "last_seen": statement.excluded.last_seen}
    return statement.on_conflict_do_update(index_elements=["kind", "value"], set_=changes)


def _actor(kind: str, value: str, row: list[int], now: int) -> dict[str, Any]:
    counts = dict(zip(COUNTS, row, strict=True))
    return {"kind": kind, "value": storable(value, _LONGEST_VALUE), **counts, "first_seen": now, "last_seen": now}
