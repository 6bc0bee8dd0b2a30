"""The overview: what happened lately, and what deserves a look."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.panels import POINTS, latency_panel, panels_of, rates_of
from metlo_otel.collector.dashboard.times import Span, read_span

_SHOWN = "7"  # rows of each list


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def overview(request: Request) -> Response:
        span = read_span(request, "1h")
        found = await desk.read(partial(_read, span=span))
        return await desk.render(request, "overview.html", span=span, **found)

    return [Route("/", overview, methods=["GET"])]


def _read(connection: Connection, span: Span) -> dict[str, Any]:
    since, until = span.drawn()
    points = queries.series(connection, since, until, POINTS)
    return {
        "latency": latency_panel(queries.latencies(connection, since, until, POINTS)),
        "panels": panels_of(points, span),
        "rates": rates_of(points),
        "busiest": queries.find_endpoints(connection, {**span.bounds, "sort": "calls", "limit": _SHOWN}).items,
        "riskiest": queries.find_endpoints(connection, {**span.bounds, "sort": "risk", "limit": _SHOWN}).items,
        "any": queries.find_endpoints(connection, {"limit": "1"}).items,
        "alerts": queries.find_alerts(connection, {"status": "open", "limit": _SHOWN}).items,
        "attacks": queries.find_attacks(connection, {**span.bounds, "limit": _SHOWN}).items,
        "categories": queries.count_attacks(connection, since)[:8],
    }
