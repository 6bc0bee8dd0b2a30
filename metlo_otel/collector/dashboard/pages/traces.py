"""Traces: the search, and one of them whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.analysis.attacks import CATEGORIES
from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.filters import given, read_filters
from metlo_otel.collector.dashboard.trace_view import view_trace

_FILTERS = (
    *("path", "status", "method", "user", "source", "attack", "blocked", "traceId"),
    *("endpoint", "host", "session", "since", "until", "before"),
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def search(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        wanted = given(filters)
        page, problem = queries.Page([], None), ""
        try:
            page = await desk.read(partial(queries.find_traces, parameters=wanted))
        except queries.FilterError as wrong:
            problem = str(wrong)
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
        found = await desk.read(partial(queries.read_one, number=str(number)))
        if found is None:
            raise HTTPException(404, f"There is no trace {number}. Only the latest of each endpoint are kept.")
        trace = orjson.loads(orjson.dumps(found))
        tracing = await desk.read(read_template)
        return await desk.render(
            request,
            "trace.html",
            trace=trace,
            view=view_trace(trace["trace"]),
            tracing=tracing_link(tracing, trace["trace"]),
        )

    return [
        Route("/traces", search, methods=["GET"]),
        Route("/traces/{id:int}", one, methods=["GET"]),
    ]


def tracing_link(template: str, document: Mapping[str, Any]) -> str:
    """Where the user's tracing shows a trace, empty where it cannot: `{traceId}` and `{spanId}` are filled in."""
    meta = document.get("meta") or {}
    if not template or not isinstance(meta.get("traceId"), str) or urlsplit(template).scheme not in ("http", "https"):
        return ""
    span = meta.get("spanId")
    link = template.replace("{traceId}", quote(meta["traceId"], safe=""))
    return link.replace("{spanId}", quote(span if isinstance(span, str) else "", safe=""))
