"""How long calls took, lately and over time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, select

from metlo_otel.collector.latencies import unpack
from metlo_otel.collector.queries.overview import spans
from metlo_otel.collector.schema import LATENCIES, TOTAL_LATENCIES
from metlo_otel.core.histogram import Histogram, summed

_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def percentiles(found: Histogram) -> dict[str, int] | None:
    """Median, 95th and 99th percentile in microseconds, and of how many calls; None where no time is known."""
    if not found.counts:
        return None
    return {**{name: round(found.quantile(share)) for name, share in _SHARES.items()}, "calls": found.count}


def latencies(
    connection: Connection, since: int, until: int, points: int = 60, endpoint: int | None = None
) -> dict[str, Any]:
    """How long calls took between two moments (ms), of one endpoint or all: `latency` of all the time, as percentiles()
    tells it, the `histogram` that it is of, and `points` as series() has them, each with its `at` and `latency`.
    """
    first, last, width = spans(since, until, points)
    table = TOTAL_LATENCIES if endpoint is None else LATENCIES
    wanted = select(table.c.minute, table.c.latency).where(table.c.minute.between(first, last))
    if endpoint is not None:
        wanted = wanted.where(LATENCIES.c.endpoint_id == endpoint)
    found: dict[int, list[Histogram]] = defaultdict(list)
    for minute, stored in connection.execute(wanted):
        found[minute - (minute - first) % width].append(unpack(stored))
    each = {minute: summed(some) for minute, some in found.items()}
    shown = [
        {"at": minute * 60_000, "latency": percentiles(each.get(minute, Histogram()))}
        for minute in range(first, last + 1, width)
    ]
    together = summed(each.values())
    return {"latency": percentiles(together), "histogram": together, "points": shown}
