"""Alerts: what somebody should look at, until it is resolved or ignored."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries
from metlo_otel.collector.alerts import KINDS, STATUSES
from metlo_otel.collector.dashboard import words
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.pages.asking import done, find, given, read_filters
from metlo_otel.collector.notify import deliveries_of

_FILTERS = ("status", "kind", "severity", "endpoint", "offset")
_DONE = {"open": "Opened again.", "resolved": "Resolved. It opens again if it happens again.", "ignored": "Ignored."}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def alerts(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        filters["status"] = filters["status"] or "open"
        page, problem = await find(desk, queries.find_alerts, given(filters))
        return await desk.render(
            request,
            "alerts.html",
            *done(request, _DONE),
            page=page,
            filters=filters,
            filtered=bool(filters["kind"] or filters["severity"] or filters["endpoint"]),
            problem=problem,
            kinds={kind: words.ALERTS.get(kind, kind) for kind in KINDS},
            statuses=STATUSES,
            status=400 if problem else 200,
        )

    async def decide(request: Request) -> Response:
        form = await read_form(request)
        ids = [int(text) for text in form.all("id") if text.isascii() and text.isdecimal() and len(text) < 19]
        work = partial(actions.set_alert_status, ids=ids, status=form.get("status"), who=desk.who(request))
        try:
            await desk.change(work)
        except ValueError as problem:
            raise HTTPException(400, str(problem)) from None
        shown = {"status": form.get("shown"), "done": form.get("status")}
        return seen("/dashboard/alerts?" + urlencode(given(shown)))

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        alert = await desk.read(partial(queries.read_alert, alert=number))
        if alert is None:
            raise HTTPException(404, "There is no such alert: it was forgotten, or its endpoint is another one now.")
        told = await desk.read(partial(deliveries_of, alert=number))
        return await desk.render(request, "alert.html", alert=alert, deliveries=told)

    return [
        Route("/alerts/{id:row}", one, methods=["GET"]),
        Route("/alerts", alerts, methods=["GET"]),
        Route("/alerts", decide, methods=["POST"]),
    ]
