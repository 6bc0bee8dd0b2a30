"""Services: a small map of who calls whom, and what each of them answers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.dashboard.service_map import draw

LIST = Listing(
    "services",
    queries.find_services,
    queries.SERVICE_FILTERS,
    {"service": "Service", "environment": "Environment", "language": "Language"},
    cursor="offset",
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def services(request: Request) -> Response:
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        calls = await desk.read(queries.service_calls)
        return await desk.render(
            request, "services.html", calls=calls, map=draw(calls), status=shown.status, **shown.values
        )

    return [Route("/services", services, methods=["GET"])]
