"""Keeping the store within its limits: of age, of size, of numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, func, select, true

from metlo_otel.collector.alerts import Alert, raise_alerts, wake_alerts
from metlo_otel.collector.database import bytes_used, insert_into
from metlo_otel.collector.endpoints import EndpointKey
from metlo_otel.collector.inventory import add_endpoint
from metlo_otel.collector.keeping import delete_traces
from metlo_otel.collector.latencies import thin
from metlo_otel.collector.merging import find_merges, merge_endpoints
from metlo_otel.collector.schema import (
    ACTORS,
    ALERTS,
    ATTACKS,
    AUDIT,
    COUNTS,
    ENDPOINTS,
    LATENCIES,
    MINUTES,
    TOTAL_LATENCIES,
    TOTALS,
    TRACES,
)
from metlo_otel.collector.schema_telling import SENDINGS

_DAY = 86_400_000  # milliseconds
_SLICE = 2_000  # rows deleted in one transaction
_SLICES = 10  # such transactions about traces, and about the latencies of a few minutes, in one round
_ERRORS_OVER = 5  # minutes that an error rate is taken over
_ERRORS_FROM = 50  # calls in these from which there is a rate at all
ERROR_RATE = 0.2
"""The share of calls with a status of 500 and above from which an alert is raised."""

Step = Callable[[Connection], bool]
"""One transaction of upkeep; whether what was remembered of the database is not true any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept: ages in days, `size` in bytes of the whole database, the rest in rows."""

    traces_per_endpoint: int = 100
    endpoints: int = 10_000
    trace_days: float = 14
    minute_days: float = 2
    hour_days: float = 90
    attack_days: float = 90
    size: int = 1_900_000_000
    attacks: int = 200_000
    actors: int = 50_000
    alerts: int = 20_000
    audit: int = 100_000
    sendings: int = 5_000


DEFAULT_LIMITS = Limits()


class Upkeep:
    """The steps of one round, each short, so that traces wait for none of them for long."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._thinned: dict[str, int] = {}  # by table: the minute before which there are only hours

    def steps(self) -> Iterator[Step]:
        """What to do now, one transaction after the other."""
        limits, now = self._limits, int(time.time() * 1000)
        yield lambda connection: _raise_error_rates(connection, now)
        yield lambda connection: wake_alerts(connection, now)
        yield merge_guesses
        for _ in range(_SLICES):
            yield lambda connection: _delete_traces(connection, TRACES.c.received < now - limits.trace_days * _DAY)
            yield lambda connection: _shrink(connection, limits.size)
        for table in (MINUTES, TOTALS):
            yield lambda connection, table=table: _sum_up(connection, table, now - limits.minute_days * _DAY)  # type: ignore[misc]
            yield lambda connection, table=table: _drop_minutes(connection, table, now - limits.hour_days * _DAY)  # type: ignore[misc]
        for table in (LATENCIES, TOTAL_LATENCIES):
            for _ in range(_SLICES):
                yield lambda connection, table=table: self._thin(connection, table, now - limits.minute_days * _DAY)  # type: ignore[misc]
            yield lambda connection, table=table: _drop_minutes(connection, table, now - limits.hour_days * _DAY)  # type: ignore[misc]
        yield lambda connection: _drop(connection, ATTACKS, ATTACKS.c.at < now - limits.attack_days * _DAY)
        for table, order, most in _bounded(limits):
            yield lambda connection, table=table, order=order, most=most: _cut(connection, table, order, most)  # type: ignore[misc]

    def _thin(self, connection: Connection, table: Table, before: float) -> bool:
        since = self._thinned.get(table.name, 0)
        self._thinned[table.name] = thin(connection, table, since, int(before) // 3_600_000 * 60)
        return False


def _bounded(limits: Limits) -> tuple[tuple[Table, Any, int], ...]:
    return (
        (ATTACKS, ATTACKS.c.id, limits.attacks),
        (ACTORS, ACTORS.c.last_seen, limits.actors),
        (ALERTS, ALERTS.c.last_seen, limits.alerts),
        (AUDIT, AUDIT.c.id, limits.audit),
        (SENDINGS, SENDINGS.c.id, limits.sendings),
    )


def merge_guesses(connection: Connection) -> bool:
    """Make one of guessed endpoints that turn out to be one; whether there were any."""
    table = ENDPOINTS.c
    rows = select(table.id, table.host, table.method, table.path, table.operation).where(table.inferred)
    merges = find_merges((number, EndpointKey(*named)) for number, *named in connection.execute(rows))
    now = int(time.time() * 1000)
    for merge in merges:
        target = add_endpoint(connection, merge.key, inferred=True, now=now)
        merge_endpoints(connection, target, merge.ids)
    return bool(merges)


def _raise_error_rates(connection: Connection, now: int) -> bool:
    table = MINUTES.c
    calls, errors = func.sum(table.calls), func.sum(table.server_errors)
    rates = (
        select(ENDPOINTS.c.id, ENDPOINTS.c.host, ENDPOINTS.c.method, ENDPOINTS.c.path, calls, errors)
        .join(ENDPOINTS, ENDPOINTS.c.id == table.endpoint_id)
        .where(table.minute > now // 60_000 - _ERRORS_OVER)
        .group_by(ENDPOINTS.c.id, ENDPOINTS.c.host, ENDPOINTS.c.method, ENDPOINTS.c.path)
        .having(calls >= _ERRORS_FROM, errors >= calls * ERROR_RATE)
    )
    alerts = [
        Alert(
            "error_rate",
            str(number),
            number,
            {"host": host, "method": method, "path": path, "calls": int(n), "errors": int(failed)},
        )
        for number, host, method, path, n, failed in connection.execute(rates)
    ]
    raise_alerts(connection, alerts, now)
    return False


def _delete_traces(connection: Connection, condition: Any) -> bool:
    ids = list(connection.execute(select(TRACES.c.id).where(condition).order_by(TRACES.c.id).limit(_SLICE)).scalars())
    delete_traces(connection, ids)
    return False


def _shrink(connection: Connection, size: int) -> bool:
    """Delete the oldest traces, ordinary ones first, while the database is larger than `size`."""
    over = bytes_used(connection) - size
    for condition in (~TRACES.c.interesting, true()):
        rows = select(TRACES.c.id, TRACES.c.size).where(condition).order_by(TRACES.c.id).limit(_SLICE)
        ids = []
        for number, held in connection.execute(rows):
            if over <= 0:
                break
            ids.append(number)
            over -= held
        delete_traces(connection, ids)
        if len(ids) == _SLICE:  # there may be more of these, which go before the others
            break
    return False


def _sum_up(connection: Connection, table: Table, before: float) -> bool:
    """Make whole hours of the minutes before a moment."""
    old = (table.c.minute < int(before) // 3_600_000 * 60, table.c.minute % 60 != 0)
    keys = [column for column in table.primary_key if column.name != "minute"]
    hour: Any = table.c.minute - table.c.minute % 60
    rows = select(*keys, hour, *[func.sum(table.c[name]) for name in COUNTS]).where(*old).group_by(*keys, hour)
    names = [*(column.name for column in keys), "minute", *COUNTS]
    statement = insert_into(connection, table).from_select(names, rows)
    sums = {name: table.c[name] + statement.excluded[name] for name in COUNTS}
    by = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=by, set_=sums))
    connection.execute(delete(table).where(*old))
    return False


def _drop_minutes(connection: Connection, table: Table, before: float) -> bool:
    connection.execute(delete(table).where(table.c.minute < int(before) // 60_000))
    return False


def _drop(connection: Connection, table: Table, condition: Any) -> bool:
    old = select(table.c.id).where(condition).limit(_SLICE)
    connection.execute(delete(table).where(table.c.id.in_(old)))
    return False


def _cut(connection: Connection, table: Table, order: Column[Any], most: int) -> bool:
    """Delete the rows that come first by `order` where there are more than `most`."""
    over = connection.execute(select(func.count()).select_from(table)).scalar_one() - most
    if over > 0:
        oldest = select(table.c.id).order_by(order).limit(over)
        connection.execute(delete(table).where(table.c.id.in_(oldest)))
    return False
