"""The overview: what happened lately, and what deserves a look."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.charts import Chart, draw
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.rendering import query

RANGES = {"15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080}
"""What can be chosen, in minutes."""

POINTS = 60
_SHOWN = "7"  # rows of each list


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart under its name; `kind` is its colour, `parts` what its number is made of: name, number, and the page
    that lists them.
    """

    name: str
    kind: str
    chart: Chart
    parts: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class LatencyPanel:
    """The chart of the 95th percentile over time, and the percentiles of all of it; None where no time is known."""

    chart: Chart
    latency: dict[str, int] | None


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def overview(request: Request) -> Response:
        asked = request.query_params.get("range", "")
        chosen = asked if asked in RANGES else "1h"
        now = int(time.time() * 1000)
        since = now - (RANGES[chosen] - 1) * 60_000
        found = await desk.read(partial(_read, since=since, now=now))
        panels = panels_of(found.pop("series"), since)
        return await desk.render(request, "overview.html", ranges=list(RANGES), chosen=chosen, panels=panels, **found)

    return [Route("/", overview, methods=["GET"])]


def panels_of(points: list[dict[str, int]], since: int, endpoint: int | None = None) -> list[Panel]:
    """The four charts of the counts in `points`, linked to what they count."""
    where = {"since": str(since)} if endpoint is None else {"endpoint": str(endpoint), "since": str(since)}

    def panel(name: str, page: str, *parts: tuple[str, str, dict[str, str]]) -> Panel:
        chart = draw([(point["at"], sum(point[count] for _, count, _ in parts)) for point in points])
        told = [
            (called, sum(point[count] for point in points), f"/dashboard/{page}{query(where, **more)}")
            for called, count, more in parts
        ]
        return Panel(name, name.lower(), chart, tuple(told))

    return [
        panel("Requests", "traces", ("all", "calls", {})),
        panel(
            "Errors", "traces", ("4xx", "clientErrors", {"status": "4xx"}), ("5xx", "serverErrors", {"status": "5xx"})
        ),
        panel("Attacks", "attacks", ("all", "attacks", {})),
        panel("Blocked", "traces", ("all", "blocked", {"blocked": "true"})),
    ]


def latency_panel(connection: Connection, since: int, now: int, endpoint: int | None = None) -> LatencyPanel:
    """How long calls took between two moments (ms)."""
    found = queries.latencies(connection, since, now, POINTS, endpoint)
    points = [(point["at"], point["latency"]["p95"] if point["latency"] else 0) for point in found["points"]]
    return LatencyPanel(draw(points), found["latency"])


def _read(connection: Connection, since: int, now: int) -> dict[str, Any]:
    return {
        "latency": latency_panel(connection, since, now),
        "series": queries.series(connection, since, now, POINTS),
        "busiest": queries.find_endpoints(connection, {"sort": "calls", "limit": _SHOWN}).items,
        "riskiest": queries.find_endpoints(connection, {"sort": "risk", "limit": _SHOWN}).items,
        "alerts": queries.find_alerts(connection, {"status": "open", "limit": _SHOWN}).items,
        "attacks": queries.find_attacks(connection, {"limit": _SHOWN}).items,
        "categories": queries.count_attacks(connection, since)[:8],
        "hosts": len(queries.list_hosts(connection)),
    }
