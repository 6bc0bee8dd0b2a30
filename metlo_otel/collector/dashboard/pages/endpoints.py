"""Endpoints: the inventory, and one of them with its fields and traces."""

from __future__ import annotations

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
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.dashboard.panels import POINTS, latency_panel, panels_of, rates_of, spread_panel
from metlo_otel.collector.dashboard.times import Span, read_span
from metlo_otel.collector.dashboard.trace_view import TraceView, view_trace
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
LIST = Listing(
    "endpoints",
    queries.find_endpoints,
    queries.ENDPOINT_FILTERS,
    {
        "path": "Path",
        "host": "Host",
        "method": "Method",
        "class": "Data class",
        "flag": "That",
        "service": "Service",
        "risk": "Risk at least",
    },
    cursor="offset",
    sorts=SORTS,
    fixed={"sort": "risk"},
)
_DONE = {
    "captured": "Agents send the content of these requests from now on.",
    "uncaptured": "Agents send no more content of these requests.",
}
_LOOKED_AT = 3  # traces, for one to show as an example
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
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        hosts, classes = await desk.read(queries.list_hosts), await desk.read(queries.list_classes)
        more = {"hosts": hosts, "classes": classes, "unsaid": await desk.read(count_unsaid)}
        return await desk.render(request, "endpoints.html", status=shown.status, **shown.values, **more)

    async def one(request: Request) -> Response:
        number, span = request.path_params["id"], read_span(request, "24h")
        found = await desk.read(partial(_read, number=number, span=span))
        if found is None:
            raise HTTPException(404, f"There is no endpoint {number}; it may have been merged with another one.")
        sections = sections_of(found["endpoint"]["fields"])
        notes = done(request, _DONE)
        return await desk.render(request, "endpoint.html", *notes, span=span, sections=sections, **found)

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


def _read(connection: Connection, number: int, span: Span) -> dict[str, Any] | None:
    endpoint = queries.read_endpoint(connection, number)
    if endpoint is None:
        return None
    since, until = span.drawn()
    series = queries.series(connection, since, until, POINTS, number)
    of = {"endpoint": str(number)}
    measured = queries.latencies(connection, since, until, POINTS, number)
    return {
        "endpoint": endpoint,
        "everything": read_parts(connection)["globalFullTraceCapture"],
        "schema": None if endpoint["host"] == "*" else describe_endpoint(connection, number),
        "latency": latency_panel(measured),
        "spread": spread_panel(measured["histogram"]),
        "rates": rates_of(series),
        "panels": panels_of(series, span, number),
        "traces": queries.find_traces(connection, {**of, **span.bounds, "limit": "12"}).items,
        "attacks": queries.find_attacks(connection, {**of, **span.bounds, "limit": "8"}).items,
        "alerts": queries.find_alerts(connection, {**of, "status": "open", "limit": "8"}).items,
        "example": _example(connection, of),
    }


def _example(connection: Connection, of: dict[str, str]) -> TraceView | None:
    """The latest request whose content is here, one that went well where there is one."""
    for wanted in ({"status": "2xx"}, {}):
        for _, document in queries.read_documents(connection, {**of, **wanted}, _LOOKED_AT):
            if not document.get("redacted") and not document.get("encryption"):
                return view_trace(document)
    return None
