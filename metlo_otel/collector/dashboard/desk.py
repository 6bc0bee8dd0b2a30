"""What every page needs: reading and changing the store, knowing who asks, and rendering the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, func, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from metlo_otel.collector.accounts import ADMIN, VIEWER
from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import is_watching
from metlo_otel.collector.dashboard.access import Access
from metlo_otel.collector.dashboard.gate import has_session, session_of
from metlo_otel.collector.dashboard.rendering import Pages
from metlo_otel.collector.dashboard.times import read_span, zone_of
from metlo_otel.collector.schema import ALERTS
from metlo_otel.collector.store import Store
from metlo_otel.collector.writer import BusyError

T = TypeVar("T")

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Link:
    """A page in the navigation, for who has the `role`; `gap` sets it apart from the ones before."""

    name: str
    url: str
    gap: bool = False
    role: str = VIEWER


NAVIGATION = (
    Link("Overview", "/dashboard/"),
    Link("Endpoints", "/dashboard/endpoints"),
    Link("Services", "/dashboard/services"),
    Link("Traces", "/dashboard/traces"),
    Link("Attacks", "/dashboard/attacks", gap=True),
    Link("Actors", "/dashboard/actors"),
    Link("Rules", "/dashboard/rules"),
    Link("Alerts", "/dashboard/alerts"),
    Link("Specs", "/dashboard/specs", gap=True),
    Link("Settings", "/dashboard/settings", role=ADMIN),
    Link("Notifications", "/dashboard/notifications", role=ADMIN),
    Link("Users", "/dashboard/users", role=ADMIN),
    Link("Audit log", "/dashboard/audit", role=ADMIN),
    Link("Account", "/dashboard/account"),
)


@dataclass(frozen=True, slots=True)
class Note:
    """A message at the top of a page: `kind` is good, wrong, warn or empty; `secret` is shown this once,
    `undo` is the rule that a button beside it removes.
    """

    text: str
    kind: str = ""
    secret: str = ""
    undo: str = ""


class Desk:
    """One for all pages of a store. `provider` is what the login says where people log in elsewhere too."""

    def __init__(
        self, store: Store, access: Access, pages: Pages, readers: CapacityLimiter, provider: str = ""
    ) -> None:
        self._store = store
        self._readers = readers
        self._working = CapacityLimiter(2)
        self.access = access
        self.pages = pages
        self.provider = provider

    async def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` finds, on a thread of its own."""
        return await to_thread.run_sync(self._store.read, query, limiter=self._readers)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns once it is committed. Raises HTTPException 503 where too much is waiting."""
        try:
            return await asyncio.wrap_future(self._store.change(work))
        except BusyError:
            raise HTTPException(503, "Too much is waiting to be stored. Try again.") from None

    async def work(self, work: Callable[[Store], T]) -> T:
        """What `work` returns, which uses the store and waits for others than the database, on a thread of its own."""
        return await to_thread.run_sync(work, self._store, limiter=self._working)

    async def note(self, request: Request, action: str, who: str = "") -> None:
        """Write a line of the audit log, of what changes nothing else in the store."""
        await self.change(partial(note, who=who or self.who(request), action=action))

    def who(self, request: Request) -> str:
        """Who asks, and from where, as the audit log has it."""
        return self.called(request, session_of(request).name)

    def called(self, request: Request, name: str) -> str:
        """Somebody called `name`, who is not logged in yet, in the same form."""
        return f"{name} ({self.address(request)})"

    def address(self, request: Request) -> str:
        """The client's address: the connection's other end, or what a trusted proxy says."""
        return request.client.host if request.client else ""

    async def render(self, request: Request, page: str, /, *notes: Note, status: int = 200, **values: Any) -> Response:
        """A page in the frame of all pages."""
        session = session_of(request)
        frame = {
            "session": session,
            "may": session.may,
            "theme": theme_of(request),
            "zone": zone_of(request),
            "span": read_span(request),
            "navigation": [link for link in NAVIGATION if session.may(link.role)],
            "current": _current(request.url.path),
            "notes": notes,
            "here": request.url.path,
            "open_alerts": await self.read(_count_open_alerts),
            "watching": await self.read(is_watching),
        }
        return self.pages.render(page, {**frame, **values}, status)

    async def render_error(self, request: Request, status: int, text: str) -> Response:
        """A page that says what is wrong; bare words for who is not logged in."""
        heading = HTTPStatus(status).phrase
        if not has_session(request):
            return PlainTextResponse(f"{heading}. {text}\n", status)
        return await self.render(request, "error.html", heading=heading, text=text, status=status)


def theme_of(request: Request) -> str:
    """The theme that a browser asked for; empty: as its system has it."""
    theme = request.cookies.get("metlo_theme", "")
    return theme if theme in THEMES else ""


def seen(url: str) -> Response:
    """After a change: to a page that shows it (POST, redirect, GET)."""
    return RedirectResponse(url, 303)


def _count_open_alerts(connection: Connection) -> int:
    return connection.execute(select(func.count()).where(ALERTS.c.status == "open")).scalar_one()


def _current(path: str) -> str:
    """The navigation's link that `path` belongs to."""
    found = [link.url for link in NAVIGATION if path == link.url or path.startswith(link.url + "/")]
    return found[0] if found else ""
