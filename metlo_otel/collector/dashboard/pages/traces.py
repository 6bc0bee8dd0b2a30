"""Traces: the search, and one of them whole."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.pages.actors import COLUMNS, rule_id, rules_in_force
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.dashboard.pages.rules import DONE
from metlo_otel.collector.dashboard.trace_view import view_trace
from metlo_otel.collector.dashboard.tracing import read_template, tracing_link
from metlo_otel.core.categories import ATTACKS

_FINE = "Such findings do not count there any more: see Settings. Connected agents are told within seconds."
LIST = Listing(
    "traces",
    queries.find_traces,
    queries.TRACE_FILTERS,
    {
        "path": "Path",
        "status": "Status",
        "method": "Method",
        "user": "User",
        "source": "Address",
        "attack": "Attack",
        "blocked": "Blocked",
        "trace": "Trace id",
        "rule": "Rule",
        "endpoint": "Endpoint",
        "host": "Host",
        "session": "Session",
    },
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def search(request: Request) -> Response:
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        sample = await desk.read(partial(queries.sample, endpoint=_row(shown.filters["endpoint"])))
        more = {"categories": sorted(ATTACKS), "sample": sample}
        return await desk.render(request, "traces.html", status=shown.status, **shown.values, **more)

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        found = await desk.read(partial(_read, number=number))
        if found is None:
            raise HTTPException(404, f"There is no trace {number}. Only the latest of each endpoint are kept.")
        return await desk.render(request, "trace.html", *done(request, {**DONE, "fine": _FINE}), **found)

    async def fine(request: Request) -> Response:
        """Have a finding of this trace not count any more, at its endpoint and in its field."""
        form = await read_form(request)
        path, field, category = (form.get(name) for name in ("endpoint", "field", "category"))
        work = partial(actions.except_detection, path=path, field=field, category=category, who=desk.who(request))
        try:
            await desk.change(work)
        except ValueError as problem:
            raise HTTPException(400, f"This cannot be made an exception: {problem}.") from None
        return seen(f"/dashboard/traces/{request.path_params['id']}?done=fine")

    return [
        Route("/traces/{id:row}/fine", fine, methods=["POST"]),
        Route("/traces", search, methods=["GET"]),
        Route("/traces/{id:row}", one, methods=["GET"]),
    ]


def _row(text: str) -> int | None:
    """The endpoint that was asked for, if it is a number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _read(connection: Connection, number: int) -> dict[str, Any] | None:
    """All of the page: looking for what gave an attack away takes a while, so it is done where reading is."""
    found = queries.read_one(connection, str(number))
    if found is None:
        return None
    trace, in_force = orjson.loads(orjson.dumps(found)), rules_in_force(connection)
    return {
        "trace": trace,
        "known_categories": ATTACKS,
        "view": view_trace(trace["trace"]),
        "blocked": [kind for kind, value in _actors(trace) if rule_id(kind, value) in in_force],
        "tracing": tracing_link(read_template(connection), trace["trace"]),
    }


def _actors(trace: dict[str, Any]) -> list[tuple[str, str]]:
    """Who sent it, as actors are known."""
    return [(kind, trace[name]) for kind, name in COLUMNS.items() if trace[name]]
