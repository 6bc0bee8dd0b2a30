"""Saved searches, and the zone in which a browser is told times."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import views
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import is_page
from metlo_otel.collector.dashboard.pages import actors, alerts, attacks, audit, endpoints, services, traces
from metlo_otel.collector.dashboard.times import PARAMETERS, ZONES

_LISTS = {
    each.name: each
    for each in (traces.LIST, endpoints.LIST, attacks.LIST, actors.LIST, alerts.LIST, audit.LIST, services.LIST)
}
_YEAR = 365 * 24 * 3600  # seconds
_LONGEST = 4_000  # characters of an address


def routes(desk: Desk) -> list[Route]:
    """The routes of these forms."""

    async def save(request: Request) -> Response:
        form = await read_form(request)
        page, kept = form.get("page"), _kept(form.get("page"), form.get("query"))
        work = partial(views.save_view, page=page, name=form.get("name"), query=kept, who=desk.who(request))
        try:
            await desk.change(work)
        except ValueError as problem:
            raise HTTPException(400, f"{str(problem)[:1].upper()}{str(problem)[1:]}.") from None
        return seen(f"/dashboard/{page}?{kept}")

    async def remove(request: Request) -> Response:
        page = await desk.change(partial(views.remove_view, view=request.path_params["id"], who=desk.who(request)))
        if page is None:
            raise HTTPException(404, "There is no such saved search.")
        return seen(f"/dashboard/{page}")

    async def zone(request: Request) -> Response:
        form = await read_form(request)
        back = form.get("back")
        answer = seen(back if is_page(back) else "/dashboard/")
        if form.get("zone") in ZONES:
            answer.set_cookie("metlo_zone", form.get("zone"), _YEAR, path="/dashboard", samesite="lax")
        return answer

    return [
        Route("/views", save, methods=["POST"]),
        Route("/views/{id:row}/remove", remove, methods=["POST"]),
        Route("/zone", zone, methods=["POST"]),
    ]


def _kept(page: str, query: str) -> str:
    """Of an address only what its page knows. Raises HTTPException for no page of a list."""
    if page not in _LISTS:
        raise HTTPException(404, "There is no such list.")
    known = {*_LISTS[page].labels, "q", "sort", *PARAMETERS}
    return urlencode([(name, value) for name, value in parse_qsl(query[:_LONGEST]) if name in known])
