"""Attacks: what was tried, where, by whom, and whether it was blocked."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.actors import rule_id, rules_in_force
from metlo_otel.collector.dashboard.pages.asking import done, find, given, read_filters
from metlo_otel.collector.dashboard.pages.rules import DONE

_FILTERS = ("category", "path", "source", "user", "blocked", "confidence", "endpoint", "session", "since", "before")


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def attacks(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        wanted = given(filters)
        page, problem = await find(desk, queries.find_attacks, wanted)
        in_force = await desk.read(rules_in_force)
        sources = {attack["source"] for attack in page.items if attack["source"]}
        return await desk.render(
            request,
            "attacks.html",
            *done(request, DONE),
            page=page,
            filters=filters,
            filtered=bool(wanted),
            problem=problem,
            blocked={source for source in sources if rule_id("address", source) in in_force},
            categories=await desk.read(partial(queries.count_attacks, since=0)),
            status=400 if problem else 200,
        )

    return [Route("/attacks", attacks, methods=["GET"])]
