"""Attacks: what was tried, where, by whom, and whether it was blocked."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.actors import rule_id, rules_in_force
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.dashboard.pages.rules import DONE

LIST = Listing(
    "attacks",
    queries.find_attacks,
    queries.ATTACK_FILTERS,
    {
        "category": "Attack",
        "path": "Path",
        "source": "Address",
        "user": "User",
        "blocked": "Blocked",
        "confidence": "Confidence",
        "endpoint": "Endpoint",
        "session": "Session",
        "status": "Status",
    },
)


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def attacks(request: Request) -> Response:
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        in_force = await desk.read(rules_in_force)
        sources = {attack["source"] for attack in shown.page.items if attack["source"]}
        return await desk.render(
            request,
            "attacks.html",
            *done(request, DONE),
            blocked={source for source in sources if rule_id("address", source) in in_force},
            categories=await desk.read(partial(queries.count_attacks, since=0)),
            status=shown.status,
            **shown.values,
        )

    return [Route("/attacks", attacks, methods=["GET"])]
