"""The audit log: who changed what, when and from where."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.asking import find, given, read_filters

_FILTERS = ("who", "action", "before")


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def audit(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        wanted = given(filters)
        page, problem = await find(desk, queries.find_audit, wanted)
        return await desk.render(
            request,
            "audit.html",
            page=page,
            filters=filters,
            filtered=bool(wanted),
            problem=problem,
            status=400 if problem else 200,
        )

    return [Route("/audit", audit, methods=["GET"])]
