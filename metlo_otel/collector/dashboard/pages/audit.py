"""The audit log: who changed what, when and from where."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file

LIST = Listing("audit", queries.find_audit, queries.AUDIT_FILTERS, {"who": "Who", "action": "Action"})


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def audit(request: Request) -> Response:
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        return await desk.render(request, "audit.html", status=shown.status, **shown.values)

    return [Route("/audit", audit, methods=["GET"])]
