"""Traces: the search, and one of them whole."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.analysis.attacks import CATEGORIES
from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.actors import COLUMNS, rule_id, rules_in_force
from metlo_otel.collector.dashboard.pages.asking import done, find, given, read_filters
from metlo_otel.collector.dashboard.pages.rules import DONE
from metlo_otel.collector.dashboard.trace_view import view_trace
from metlo_otel.collector.dashboard.tracing import read_template, tracing_link

_FILTERS = (
    *("path", "status", "method", "user", "source", "attack", "blocked", "trace", "rule"),
    *("endpoint", "host", "session", "since", "until", "before"),
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def search(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        wanted = given(filters)
        page, problem = await find(desk, queries.find_traces, wanted)
        return await desk.render(
            request,
            "traces.html",
            page=page,
            filters=filters,
            filtered=bool(wanted),
            problem=problem,
            categories=sorted(CATEGORIES),
            status=400 if problem else 200,
        )

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        found = await desk.read(lambda connection: queries.read_one(connection, str(number)))
        if found is None:
            raise HTTPException(404, f"There is no trace {number}. Only the latest of each endpoint are kept.")
        trace = orjson.loads(orjson.dumps(found))
        tracing, in_force = await desk.read(read_template), await desk.read(rules_in_force)
        return await desk.render(
            request,
            "trace.html",
            *done(request, DONE),
            trace=trace,
            view=view_trace(trace["trace"]),
            blocked=[kind for kind, value in _actors(trace) if rule_id(kind, value) in in_force],
            tracing=tracing_link(tracing, trace["trace"]),
        )

    return [
        Route("/traces", search, methods=["GET"]),
        Route("/traces/{id:int}", one, methods=["GET"]),
    ]


def _actors(trace: dict[str, Any]) -> list[tuple[str, str]]:
    """Who sent it, as actors are known."""
    return [(kind, trace[name]) for kind, name in COLUMNS.items() if trace[name]]
