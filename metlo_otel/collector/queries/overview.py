"""What happened over time, and in all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from metlo_otel.collector.schema import ACTORS, ALERTS, ATTACKS, COUNTS, ENDPOINTS, MINUTES, RULES, TOTALS, TRACES

_NAMES = ("calls", "clientErrors", "serverErrors", "attacks", "blocked")


def series(
    connection: Connection, since: int, until: int, points: int = 60, endpoint: int | None = None
) -> list[dict[str, int]]:
    """Counts between two moments (ms), at most `points` of them, of one endpoint or all: `{"at", "calls", …}`.

    Every point is there, also where nothing happened; each covers the same number of whole minutes.
    """
    first, last, width = spans(since, until, points)
    table = TOTALS if endpoint is None else MINUTES
    start: Any = table.c.minute - (table.c.minute - first) % width
    wanted = select(start, *[func.sum(table.c[name]) for name in COUNTS]).where(table.c.minute.between(first, last))
    if endpoint is not None:
        wanted = wanted.where(MINUTES.c.endpoint_id == endpoint)
    found = {int(minute): counts for minute, *counts in connection.execute(wanted.group_by(start))}
    nothing = [0] * len(COUNTS)
    return [
        {"at": minute * 60_000, **dict(zip(_NAMES, map(int, found.get(minute, nothing)), strict=True))}
        for minute in range(first, last + 1, width)
    ]


def spans(since: int, until: int, points: int) -> tuple[int, int, int]:
    """The first and last minute between two moments (ms), and how many minutes each of at most `points` points has."""
    first, last = since // 60_000, max(until // 60_000, since // 60_000)
    return first, last, max(1, -(-(last - first + 1) // max(points, 1)))


def totals(connection: Connection, since: int, until: int) -> dict[str, int]:
    """The sums of all counts between two moments (ms)."""
    sums = [func.coalesce(func.sum(TOTALS.c[name]), 0) for name in COUNTS]
    wanted = select(*sums).where(TOTALS.c.minute.between(since // 60_000, until // 60_000))
    return dict(zip(_NAMES, map(int, connection.execute(wanted).one()), strict=True))


def inventory_counts(connection: Connection) -> dict[str, int]:
    """How many there are of what can be looked at."""
    tables = {"endpoints": ENDPOINTS, "traces": TRACES, "attacks": ATTACKS, "actors": ACTORS, "rules": RULES}
    found = {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables.items()
    }
    new = select(func.count()).where(ALERTS.c.status == "open")
    return {**found, "openAlerts": connection.execute(new).scalar_one()}
