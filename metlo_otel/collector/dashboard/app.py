"""The dashboard put together: every page behind the guard and the gate."""

from __future__ import annotations

import logging
from typing import Any

from anyio import CapacityLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from metlo_otel.collector.dashboard.access import Access
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.entry import Entry
from metlo_otel.collector.dashboard.gate import Gate
from metlo_otel.collector.dashboard.guard import Guard
from metlo_otel.collector.dashboard.pages import (
    actors,
    alerts,
    attacks,
    audit,
    endpoints,
    overview,
    preferences,
    rules,
    services,
    settings,
    specs,
    traces,
)
from metlo_otel.collector.dashboard.rendering import Pages, Statics
from metlo_otel.collector.database import is_damaged, is_unavailable, reason_of
from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector")

_READERS = 4  # threads that read from the database for pages at once
_PAGES = (
    *(overview, endpoints, services, traces, attacks, actors, rules, alerts, specs, settings, audit),
    preferences,
)


class _Row(IntegerConvertor):
    """The id of a row, in a path: as many digits as a database can look up."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", _Row())


def dashboard_routes(store: Store, access: Access) -> list[BaseRoute]:
    """What the collector's app is given: `/`, which leads to the dashboard, and the dashboard below `/dashboard/`."""
    return [
        Route("/", _to_overview, methods=["GET"]),
        Route("/dashboard", _to_overview, methods=["GET"]),
        Mount("/dashboard", make_dashboard(store, access)),
    ]


def make_dashboard(store: Store, access: Access) -> ASGIApp:
    """The pages as an ASGI app, to be mounted."""
    statics, readers = Statics(), CapacityLimiter(_READERS)
    desk = Desk(store, access, Pages(statics), readers)

    async def static(request: Request) -> Response:
        found = statics.answer(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "There is no such file.")
        return found

    routes: list[BaseRoute] = [Route("/static/{name}", static, methods=["GET"]), *Entry(desk).routes]
    for page in _PAGES:
        routes += page.routes(desk)
    pages = Starlette(routes=routes, exception_handlers=_handlers(desk))
    return Guard(Gate(pages, access, readers))  # outside of it all, so that errors have the headers too


def _handlers(desk: Desk) -> dict[Any, Any]:
    async def refused(request: Request, problem: HTTPException) -> Response:
        answer = await desk.render_error(request, problem.status_code, problem.detail)
        if problem.status_code in (408, 413):
            answer.headers["Connection"] = "close"  # the rest of the body is not waited for
        return answer

    async def no_database(request: Request, problem: SQLAlchemyError) -> Response:
        LOG.error("the database failed for a page: %s", reason_of(problem))
        status = 503 if is_unavailable(problem) or is_damaged(problem) else 500
        return await desk.render_error(
            request, status, "The database takes nothing now, or failed; the collector's log says why."
        )

    async def failed(request: Request, _problem: Exception) -> Response:
        return await desk.render_error(request, 500, "The collector failed; its log says why.")

    return {HTTPException: refused, SQLAlchemyError: no_database, ClientDisconnect: _nobody, Exception: failed}


async def _nobody(_request: Request, _problem: Exception) -> Response:
    return Response(status_code=400)


async def _to_overview(_request: Request) -> Response:
    return RedirectResponse("/dashboard/", 303)
