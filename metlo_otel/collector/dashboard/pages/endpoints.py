"""Endpoints: the inventory, and one of them with its fields and traces."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries
from metlo_otel.collector.configuration import read_parts
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.pages.asking import done, find, given, read_filters
from metlo_otel.collector.dashboard.pages.overview import POINTS, RANGES, latency_panel, panels_of
from metlo_otel.collector.hosts import count_unsaid
from metlo_otel.collector.openapi import describe_endpoint

SORTS = {
    "risk": "Risk",
    "calls": "Calls",
    "errors": "Errors",
    "attacks": "Attacks",
    "p95": "p95",
    "seen": "Last seen",
    "path": "Endpoint",
}
_FILTERS = ("path", "host", "method", "class", "flag", "service", "risk", "sort", "offset")
_DONE = {
    "captured": "Agents send the content of these requests from now on.",
    "uncaptured": "Agents send no more content of these requests.",
}
_SECTIONS = {
    "reqPath": "Path",
    "reqQuery": "Query",
    "reqHeaders": "Request headers",
    "reqBody": "Request body",
    "resHeaders": "Response headers",
    "resBody": "Response body",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def inventory(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        filters["sort"] = filters["sort"] or "risk"
        page, problem = await find(desk, queries.find_endpoints, given(filters))
        return await desk.render(
            request,
            "endpoints.html",
            page=page,
            filters=filters,
            filtered=any(filters[name] for name in ("path", "host", "method", "class", "flag", "service", "risk")),
            problem=problem,
            hosts=await desk.read(queries.list_hosts),
            unsaid=await desk.read(count_unsaid),
            classes=await desk.read(queries.list_classes),
            sorts=SORTS,
            status=400 if problem else 200,
        )

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        asked = request.query_params.get("range", "")
        chosen = asked if asked in RANGES else "24h"
        found = await desk.read(partial(_read, number=number, minutes=RANGES[chosen]))
        if found is None:
            raise HTTPException(404, f"There is no endpoint {number}; it may have been merged with another one.")
        sections = sections_of(found["endpoint"]["fields"])
        notes = done(request, _DONE)
        return await desk.render(
            request, "endpoint.html", *notes, ranges=list(RANGES), chosen=chosen, sections=sections, **found
        )

    async def capture(request: Request) -> Response:
        wanted = (await read_form(request)).get("capture") == "on"
        number = request.path_params["id"]
        work = partial(actions.set_full_capture, endpoint=number, capture=wanted, who=desk.who(request))
        if not await desk.change(work):
            raise HTTPException(404, f"There is no endpoint {number}.")
        return seen(f"/dashboard/endpoints/{number}?done={'captured' if wanted else 'uncaptured'}")

    return [
        Route("/endpoints", inventory, methods=["GET"]),
        Route("/endpoints/{id:row}", one, methods=["GET"]),
        Route("/endpoints/{id:row}/capture", capture, methods=["POST"]),
    ]


def sections_of(fields: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Fields under the names of the parts that they stand in, responses by status; each with its `name` there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for place, title in _SECTIONS.items():
        for field in fields:
            section, _, name = field["key"].partition(".")
            if section == place:
                heading = f"{title}, {field['status']}" if field["status"] else title
                found.setdefault(heading, []).append({**field, "name": name or "the whole"})
    return list(found.items())


def _read(connection: Connection, number: int, minutes: int) -> dict[str, Any] | None:
    endpoint = queries.read_endpoint(connection, number)
    if endpoint is None:
        return None
    now = int(time.time() * 1000)
    since = now - (minutes - 1) * 60_000
    series = queries.series(connection, since, now, POINTS, number)
    return {
        "endpoint": endpoint,
        "everything": read_parts(connection)["globalFullTraceCapture"],
        "schema": None if endpoint["host"] == "*" else describe_endpoint(connection, number),
        "latency": latency_panel(connection, since, now, number),
        "panels": panels_of(series, since, number),
        "traces": queries.find_traces(connection, {"endpoint": str(number), "limit": "12"}).items,
        "attacks": queries.find_attacks(connection, {"endpoint": str(number), "limit": "8"}).items,
        "alerts": queries.find_alerts(connection, {"endpoint": str(number), "status": "open", "limit": "8"}).items,
    }
