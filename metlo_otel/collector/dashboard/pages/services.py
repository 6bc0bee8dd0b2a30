"""Services: a small map of who calls whom, and what each of them answers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.asking import find, given, read_filters
from metlo_otel.collector.dashboard.service_map import draw

_FILTERS = ("service", "environment", "language", "offset")


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def services(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        page, problem = await find(desk, queries.find_services, given(filters))
        calls = await desk.read(queries.service_calls)
        return await desk.render(
            request,
            "services.html",
            page=page,
            filters=filters,
            filtered=any(filters[name] for name in _FILTERS[:-1]),
            problem=problem,
            calls=calls,
            map=draw(calls),
            status=400 if problem else 200,
        )

    return [Route("/services", services, methods=["GET"])]
