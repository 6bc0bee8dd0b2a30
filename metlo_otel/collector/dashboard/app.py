"""The dashboard put together: every page behind the guard and the gate."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    account,
    actors,
    alerts,
    attacks,
    audit,
    endpoints,
    hosts,
    notifications,
    overview,
    preferences,
    rules,
    services,
    settings,
    specs,
    traces,
    users,
)
from metlo_otel.collector.dashboard.rendering import Pages, Statics
from metlo_otel.collector.database import is_damaged, is_unavailable, reason_of
from metlo_otel.collector.store import Store

if TYPE_CHECKING:
    from metlo_otel.collector.dashboard.provider import ProviderSettings

LOG = logging.getLogger("metlo_otel.collector")

_READERS = 4  # threads that read from the database for pages at once
_PAGES = (
    overview,
    endpoints,
    services,
    hosts,
    traces,
    attacks,
    actors,
    rules,
    alerts,
    specs,
    settings,
    notifications,
    users,
    audit,
    account,
    preferences,
)


class _Row(IntegerConvertor):
    """The id of a row, in a path: as many digits as a database can look up."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", _Row())


@dataclass(frozen=True, slots=True)
class Options:
    """How the dashboard is reached, as `https://metlo.example` (empty: as each request says), and where people log in
    beside it.
    """

    public: str = ""
    provider: ProviderSettings | None = None


def dashboard_routes(store: Store, access: Access, options: Options | None = None) -> list[BaseRoute]:
    """What the collector's app is given: `/`, which leads to the dashboard, and the dashboard below `/dashboard/`."""
    return [
        Route("/", _to_overview, methods=["GET"]),
        Route("/dashboard", _to_overview, methods=["GET"]),
        Mount("/dashboard", make_dashboard(store, access, options or Options())),
    ]


def make_dashboard(store: Store, access: Access, options: Options) -> ASGIApp:
    """The pages as an ASGI app, to be mounted."""
    pages = make_pages(store, access, options)
    refuse, readers = pages.state.desk.render_error, pages.state.readers
    return Guard(Gate(pages, access, readers, refuse))  # outside of it all, so that errors have the headers too


def make_pages(store: Store, access: Access, options: Options = Options()) -> Starlette:
    """The pages alone, whoever asks."""
    statics, readers = Statics(), CapacityLimiter(_READERS)
    desk = Desk(store, access, Pages(statics), readers, options.provider.host if options.provider else "")

    async def static(request: Request) -> Response:
        found = statics.answer(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "There is no such file.")
        return found

    entry = Entry(desk, options.public)
    routes: list[BaseRoute] = [Route("/static/{name}", static, methods=["GET"]), *entry.routes]
    if options.provider is not None:
        routes += _at_provider(desk, entry, options.provider, options.public)
    for page in _PAGES:
        routes += page.routes(desk)
    pages = Starlette(routes=routes, exception_handlers=_handlers(desk))
    pages.state.desk, pages.state.readers = desk, readers
    return pages


def _at_provider(desk: Desk, entry: Entry, provider: ProviderSettings, public: str) -> list[Route]:
    from metlo_otel.collector.dashboard.oidc import Oidc  # the extra `oidc` is needed only by who uses it
    from metlo_otel.collector.dashboard.provider import Provider

    return Oidc(desk, entry, Provider(provider), public).routes


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
