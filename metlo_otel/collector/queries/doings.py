"""What an actor did, by the traces that are kept of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, and_, func, select

from metlo_otel.collector.queries.latencies import percentiles
from metlo_otel.collector.queries.overview import spans
from metlo_otel.collector.schema import ATTACKS, ENDPOINTS, TRACES
from metlo_otel.core.histogram import SCALE, bucket_of, histogram

_COLUMNS = {"address": "source", "user": "user", "session": "session"}
_MOST = 5_000  # traces that are looked at, the latest
_SHOWN = 12  # endpoints, and others that it was together with


def read_doings(
    connection: Connection, kind: str, value: str, since: int, until: int, points: int = 60
) -> dict[str, Any]:
    """What an actor did between two moments (ms): `points` in time with what was let pass, attacks and what was
    blocked; the `endpoints` that it called most, with calls, errors and attacks; `attacks` by category; `latency` and
    `histogram` of its calls; `others` (kinds and values) seen with it; `traces` is how many traces that is of.
    """
    column = TRACES.c[_COLUMNS[kind]]
    table = TRACES.c
    wanted = (table.endpoint_id, table.received, table.status, table.blocked, table.attacks, table.duration)
    names = ("source", "user", "session")
    rows = select(*wanted, *[table[name] for name in names]).where(column == value)
    lately = rows.where(table.received.between(since, until)).order_by(table.id.desc()).limit(_MOST)
    found = connection.execute(lately).all()
    together = _histogram([row.duration for row in found if row.duration is not None])
    return {
        "traces": len(found),
        "points": _points(found, since, until, points),
        "endpoints": _endpoints(connection, found),
        "attacks": _attacks(connection, kind, value, since, until),
        "latency": percentiles(together),
        "histogram": together,
        "errors": sum(row.status >= 400 and not row.blocked for row in found),
        "others": _others(found, kind),
    }


def _points(found: Any, since: int, until: int, points: int) -> list[dict[str, int]]:
    first, last, width = spans(since, until, points)
    shown = {
        minute: {"at": minute * 60_000, "let pass": 0, "attacks": 0, "blocked": 0}
        for minute in range(first, last + 1, width)
    }
    for row in found:
        minute = row.received // 60_000
        what = "blocked" if row.blocked else "attacks" if row.attacks else "let pass"
        shown[minute - (minute - first) % width][what] += 1
    return list(shown.values())


def _endpoints(connection: Connection, found: Any) -> list[dict[str, Any]]:
    calls = Counter(row.endpoint_id for row in found)
    errors = Counter(row.endpoint_id for row in found if row.status >= 400)
    attacks = Counter(row.endpoint_id for row in found if row.attacks)
    most = [number for number, _ in calls.most_common(_SHOWN)]
    table = ENDPOINTS.c
    rows = connection.execute(select(table.id, table.host, table.method, table.path).where(table.id.in_(most)))
    named = {row.id: row._asdict() for row in rows}
    return [
        {**named[number], "calls": calls[number], "errors": errors[number], "attacks": attacks[number]}
        for number in most
        if number in named
    ]


def _attacks(connection: Connection, kind: str, value: str, since: int, until: int) -> list[tuple[str, int]]:
    table = ATTACKS.c
    of = and_(table[_COLUMNS[kind]] == value, table.at.between(since, until))
    counted = func.count()
    rows = select(table.category, counted).where(of).group_by(table.category).order_by(counted.desc(), table.category)
    return [(category, n) for category, n in connection.execute(rows)]


def _others(found: Any, kind: str) -> list[tuple[str, str, int]]:
    seen = Counter(
        (other, getattr(row, column))
        for row in found
        for other, column in _COLUMNS.items()
        if other != kind and getattr(row, column)
    )
    return [(other, value, n) for (other, value), n in seen.most_common(_SHOWN)]


def _histogram(times: list[int]) -> Any:
    buckets = Counter(bucket_of(max(each, 1)) for each in times)
    return histogram(buckets, sum(times), min(times, default=0), max(times, default=0), SCALE)
