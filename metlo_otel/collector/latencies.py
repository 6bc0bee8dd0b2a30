"""How long calls took, stored as histograms: added to, moved with their endpoint, and thinned from minutes to hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.database import write_many
from metlo_otel.collector.schema import ENDPOINTS, LATENCIES, SIZES, TOTAL_LATENCIES
from metlo_otel.collector.sums import Summed
from metlo_otel.collector.trace import Trace
from metlo_otel.core.histogram import SCALE, Histogram, bucket_of, histogram, summed

_PART = 500  # endpoints asked for at once
_AT_ONCE = 5  # minutes that become part of their hour in one transaction

_ADD = (
    update(ENDPOINTS)
    .where(ENDPOINTS.c.id == bindparam("endpoint"))
    .values(
        latency=bindparam("all"),
        p95=bindparam("high"),
        **{name: ENDPOINTS.c[name] + bindparam("more_" + name) for name in SIZES},
    )
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of some calls beyond their number; the bytes are of `summed` of them."""

    latency: Histogram = Histogram()
    summed: int = 0
    request_bytes: int = 0
    response_bytes: int = 0


def pack(found: Histogram) -> bytes:
    """A histogram as it is stored: a JSON list of scale, offset, sum, least, most (whole µs), and the counts."""
    return orjson.dumps([found.scale, found.offset, int(found.sum), int(found.min), int(found.max), *found.counts])


def unpack(stored: bytes | None) -> Histogram:
    """A stored histogram; the empty one where none is stored."""
    if not stored:
        return Histogram()
    scale, offset, total, least, most, *counts = orjson.loads(stored)
    return Histogram(scale, offset, tuple(counts), total, least, most)


def of_traces(found: Iterable[tuple[int, Trace]]) -> dict[int, Measured]:
    """By endpoint: how long those took that no sums tell of."""
    times: dict[int, list[float]] = defaultdict(list)
    for endpoint, trace in found:
        if trace.duration is not None and not trace.counted:
            times[endpoint].append(max(trace.duration, 1))
    return {endpoint: Measured(_of(values)) for endpoint, values in times.items()}


def of_sums(found: Iterable[tuple[int, Summed]]) -> dict[int, Measured]:
    """By endpoint: what was measured of calls that were summed up."""
    measured: dict[int, list[Summed]] = defaultdict(list)
    for endpoint, each in found:
        measured[endpoint].append(each)
    return {endpoint: _measured(each) for endpoint, each in measured.items()}


def _measured(series: Sequence[Summed]) -> Measured:
    return Measured(
        summed(latency for each in series for latency in each.latencies),
        sum(each.calls for each in series),
        sum(each.request_bytes for each in series),
        sum(each.response_bytes for each in series),
    )


def _of(values: Sequence[float]) -> Histogram:
    buckets: dict[int, int] = defaultdict(int)
    for value in values:
        buckets[bucket_of(value)] += 1
    return histogram(buckets, sum(values), min(values), max(values), SCALE)


def add_measured(connection: Connection, measured: Mapping[int, Measured], now: int) -> None:
    """Add what was measured of endpoints at `now` (ms), under the lock of whoever writes: it is read first."""
    if not measured:
        return
    minute, endpoints = now // 60_000, sorted(measured)
    ever, lately = _read_ever(connection, endpoints), _read_minute(connection, endpoints, minute)
    write_many(connection, _ADD, [_row(number, measured[number], ever.get(number)) for number in endpoints])
    more = {number: measured[number].latency for number in endpoints if measured[number].latency.counts}
    rows = [
        {"endpoint_id": number, "minute": minute, "latency": pack(unpack(lately.get(number)).plus(each))}
        for number, each in more.items()
    ]
    write_many(connection, _putting(connection.dialect.name, LATENCIES), rows)
    if more:
        _add_total(connection, minute, summed(more.values()))


def _row(endpoint: int, measured: Measured, before: bytes | None) -> dict[str, Any]:
    latency = unpack(before).plus(measured.latency)
    told = {"all": pack(latency), "high": round(latency.quantile(0.95))}
    return {"endpoint": endpoint, **told, **{"more_" + name: getattr(measured, name) for name in SIZES}}


def _add_total(connection: Connection, minute: int, more: Histogram) -> None:
    table = TOTAL_LATENCIES.c
    before = connection.execute(select(table.latency).where(table.minute == minute)).scalar()
    row = {"minute": minute, "latency": pack(unpack(before).plus(more))}
    write_many(connection, _putting(connection.dialect.name, TOTAL_LATENCIES), [row])


def _read_ever(connection: Connection, endpoints: Sequence[int]) -> dict[int, bytes]:
    return _read(connection, select(ENDPOINTS.c.id, ENDPOINTS.c.latency), ENDPOINTS.c.id, endpoints)


def _read_minute(connection: Connection, endpoints: Sequence[int], minute: int) -> dict[int, bytes]:
    table = LATENCIES.c
    wanted = select(table.endpoint_id, table.latency).where(table.minute == minute)
    return _read(connection, wanted, table.endpoint_id, endpoints)


def _read(connection: Connection, wanted: Any, column: Any, endpoints: Sequence[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for start in range(0, len(endpoints), _PART):
        part = wanted.where(column.in_(endpoints[start : start + _PART]))
        found.update((number, stored) for number, stored in connection.execute(part))
    return found


@lru_cache
def _putting(dialect: str, table: Table) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_={"latency": statement.excluded.latency})


def move_latencies(connection: Connection, target: int, others: Sequence[int]) -> None:
    """What was measured of the endpoints `others` is of `target` from now on."""
    table, columns = LATENCIES.c, ENDPOINTS.c
    sizes = [columns[name] for name in SIZES]
    rows = connection.execute(select(columns.latency, *sizes).where(columns.id.in_(others))).all()
    before = connection.execute(select(columns.latency).where(columns.id == target)).scalar()
    latency = summed(unpack(row.latency) for row in rows)
    sums = {name: sum(getattr(row, name) for row in rows) for name in SIZES}
    write_many(connection, _ADD, [_row(target, Measured(latency, **sums), before)])
    wanted = select(table.minute, table.latency).where(table.endpoint_id.in_([target, *others]))
    minutes: dict[int, list[bytes]] = defaultdict(list)
    for minute, stored in connection.execute(wanted):
        minutes[minute].append(stored)
    found = [{"endpoint_id": target, "minute": minute, "latency": _join(each)} for minute, each in minutes.items()]
    connection.execute(delete(LATENCIES).where(table.endpoint_id.in_(others)))
    write_many(connection, _putting(connection.dialect.name, LATENCIES), found)


def thin(connection: Connection, table: Table, since: int, before: int) -> int:
    """Add a few of the minutes from `since` to `before` to their hour, the oldest; returns where to go on the next
    time. Both are minutes since the epoch, `before` is a whole hour.
    """
    minute = table.c.minute
    due = select(func.min(minute)).where(minute >= since, minute < before, minute % 60 != 0)
    first: int | None = connection.execute(due).scalar()
    if first is None:
        return max(since, before)
    hour = first - first % 60
    end = min(first + _AT_ONCE, hour + 60)
    keys = [column.name for column in table.primary_key if column.name != "minute"]
    wanted = select(*[table.c[name] for name in keys], table.c.latency).where(minute.in_([hour, *range(first, end)]))
    found: dict[tuple[int, ...], list[bytes]] = defaultdict(list)
    for *key, stored in connection.execute(wanted):
        found[tuple(key)].append(stored)
    connection.execute(delete(table).where(minute.in_(range(first, end))))
    rows = [
        {**dict(zip(keys, key, strict=True)), "minute": hour, "latency": _join(each)} for key, each in found.items()
    ]
    write_many(connection, _putting(connection.dialect.name, table), rows)
    return end


def _join(stored: Sequence[bytes]) -> bytes:
    return stored[0] if len(stored) == 1 else pack(summed(map(unpack, stored)))
