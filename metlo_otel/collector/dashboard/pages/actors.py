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
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.pages.asking import done, find, given, read_filters
from metlo_otel.collector.dashboard.pages.rules import DONE

SORTS = {"attacks": "Attacks", "calls": "Calls", "seen": "Last seen"}
_FILTERS = ("kind", "value", "sort", "offset")
COLUMNS = {"address": "source", "user": "user", "session": "session"}  # under which traces and attacks have an actor


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def actors(request: Request) -> Response:
        filters = read_filters(request, _FILTERS)
        filters["sort"] = filters["sort"] or "attacks"
        page, problem = await find(desk, queries.find_actors, given(filters))
        blocked = await desk.read(rules_in_force)
        return await desk.render(
            request,
            "actors.html",
            *done(request, DONE),
            page=page,
            filters=filters,
            filtered=bool(filters["kind"] or filters["value"]),
            problem=problem,
            sorts=SORTS,
            blocked={
                actor["id"]: rule_id(actor["kind"], actor["value"])
                for actor in page.items
                if rule_id(actor["kind"], actor["value"]) in blocked
            },
            status=400 if problem else 200,
        )

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        found = await desk.read(partial(_read, number=number))
        if found is None:
            raise HTTPException(404, f"There is no actor {number}.")
        return await desk.render(request, "actor.html", *done(request, DONE), **found)

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


def _read(connection: Connection, number: int) -> dict[str, Any] | None:
    actor = queries.read_actor(connection, number)
    if actor is None:
        return None
    by = {COLUMNS[actor["kind"]]: actor["value"]}
    return {
        "actor": actor,
        "by": by,
        "rule": rules.find_rule(connection, rule_id(actor["kind"], actor["value"])),
        "traces": queries.find_traces(connection, {**by, "limit": "20"}).items,
        "attacks": queries.find_attacks(connection, {**by, "limit": "12"}).items,
    }
