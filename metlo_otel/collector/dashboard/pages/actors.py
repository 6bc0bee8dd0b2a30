"""Actors: addresses, users and sessions, what they did, and one click to block them."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import queries, rules
from metlo_otel.collector.dashboard.charts import draw
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.dashboard.pages.rules import DONE
from metlo_otel.collector.dashboard.panels import POINTS, spread_panel
from metlo_otel.collector.dashboard.rendering import query
from metlo_otel.collector.dashboard.times import Span, read_span

SORTS = {"attacks": "Attacks", "calls": "Calls", "seen": "Last seen"}
LIST = Listing(
    "actors",
    queries.find_actors,
    queries.ACTOR_FILTERS,
    {"kind": "Kind", "value": "Contains"},
    cursor="offset",
    sorts=SORTS,
    fixed={"sort": "attacks"},
)
DOINGS = ("let pass", "attacks", "blocked")  # what the timeline of an actor is made of
COLUMNS = {"address": "source", "user": "user", "session": "session"}  # under which traces and attacks have an actor


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def actors(request: Request) -> Response:
        if wants_file(request):
            return await answer_file(desk, request, LIST)
        shown = await show(desk, request, LIST)
        in_force = await desk.read(rules_in_force)
        ids = {actor["id"]: rule_id(actor["kind"], actor["value"]) for actor in shown.page.items}
        blocked = {actor: rule for actor, rule in ids.items() if rule in in_force}
        notes = done(request, DONE)
        return await desk.render(request, "actors.html", *notes, blocked=blocked, status=shown.status, **shown.values)

    async def one(request: Request) -> Response:
        number, span = request.path_params["id"], read_span(request, "24h")
        found = await desk.read(partial(_read, number=number, span=span))
        if found is None:
            raise HTTPException(404, f"There is no actor {number}.")
        return await desk.render(request, "actor.html", *done(request, DONE), span=span, **found)

    return [Route("/actors", actors, methods=["GET"]), Route("/actors/{id:row}", one, methods=["GET"])]


def rules_in_force(connection: Connection) -> set[str]:
    """The ids of all rules that are switched on, have not ended and block."""
    return {rule.id for rule in rules.list_rules(connection) if rule.is_on and rule.mode == "block"}


def rule_id(kind: str, value: str) -> str:
    """The id of the rule that one click makes for an actor, empty where no rule can name it."""
    try:
        return str(rules.block_actor(kind, value)["uuid"])
    except ValueError:
        return ""


def _read(connection: Connection, number: int, span: Span) -> dict[str, Any] | None:
    actor = queries.read_actor(connection, number)
    if actor is None:
        return None
    by = {COLUMNS[actor["kind"]]: actor["value"]}
    did = queries.read_doings(connection, actor["kind"], actor["value"], *span.drawn(), POINTS)
    where = {**by, **span.linked}
    pages = {"let pass": "traces", "attacks": "attacks", "blocked": "traces"}
    more: dict[str, dict[str, str]] = {"let pass": {"blocked": "false"}, "attacks": {}, "blocked": {"blocked": "true"}}
    links = {name: f"/dashboard/{pages[name]}{query(where, **more[name])}" for name in DOINGS}
    return {
        "actor": actor,
        "by": by,
        "rule": rules.find_rule(connection, rule_id(actor["kind"], actor["value"])),
        "timeline": draw([(point["at"], *[point[name] for name in DOINGS]) for point in did["points"]], DOINGS),
        "links": links,
        "did": did,
        "spread": spread_panel(did["histogram"]),
        "traces": queries.find_traces(connection, {**by, **span.bounds, "limit": "20"}).items,
        "attacks": queries.find_attacks(connection, {**by, **span.bounds, "limit": "12"}).items,
    }
