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

RANGES = {"15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080}
"""What can be chosen, in minutes."""

POINTS = 60
_SHOWN = "7"  # rows of each list


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart under its name; `kind` is its colour, `link` where its number leads to."""

    name: str
    kind: str
    chart: Chart
    link: str


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


def panels_of(points: list[dict[str, int]], since: int | None = None, endpoint: int | None = None) -> list[Panel]:
    """The four charts of the counts in `points`, linked to what they count."""
    where = f"endpoint={endpoint}&" if endpoint is not None else ""
    when = f"since={since}" if since is not None else ""
    return [
        Panel("Requests", "requests", _chart(points, "calls"), f"/dashboard/traces?{where}{when}"),
        Panel("Errors", "errors", _chart(points, "clientErrors", "serverErrors"), f"/dashboard/traces?{where}{when}"),
        Panel("Attacks", "attacks", _chart(points, "attacks"), f"/dashboard/attacks?{where}{when}"),
        Panel("Blocked", "blocked", _chart(points, "blocked"), f"/dashboard/traces?{where}blocked=true&{when}"),
    ]


def _chart(points: list[dict[str, int]], *names: str) -> Chart:
    return draw([(point["at"], sum(point[name] for name in names)) for point in points])


def _read(connection: Connection, since: int, now: int) -> dict[str, Any]:
    return {
        "series": queries.series(connection, since, now, POINTS),
        "busiest": queries.find_endpoints(connection, {"sort": "calls", "limit": _SHOWN}).items,
        "riskiest": queries.find_endpoints(connection, {"sort": "risk", "limit": _SHOWN}).items,
        "alerts": queries.find_alerts(connection, {"status": "open", "limit": _SHOWN}).items,
        "attacks": queries.find_attacks(connection, {"limit": _SHOWN}).items,
        "categories": queries.count_attacks(connection, since)[:8],
        "hosts": len(queries.list_hosts(connection)),
    }
