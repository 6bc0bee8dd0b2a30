"""Letting in who is logged in, as far as their role goes; everybody else is shown the login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from metlo_otel.collector.dashboard.access import Access, Keyring
from metlo_otel.collector.dashboard.roles import needed_role
from metlo_otel.collector.dashboard.sessions import Session

Refuse = Callable[[Request, int, str], Awaitable[Response]]

LOGIN = "/dashboard/login"
OIDC = "/dashboard/oidc/"
_OPEN = (LOGIN, OIDC, "/dashboard/static/")
_SESSION, _RING = "metlo_otel.session", "metlo_otel.keyring"


class Gate:
    """An ASGI app in front of the pages; what it finds is read with `session_of` and `keyring_of`."""

    def __init__(self, app: ASGIApp, access: Access, readers: CapacityLimiter, refuse: Refuse) -> None:
        self._app = app
        self._access = access
        self._readers = readers
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = await to_thread.run_sync(self._find, HTTPConnection(scope), limiter=self._readers)
        scope[_RING], scope[_SESSION] = found
        await (await self._app_for(Request(scope, receive), found[1]))(scope, receive, send)

    async def _app_for(self, request: Request, session: Session | None) -> ASGIApp:
        path: str = request.scope["path"]
        if path.startswith(_OPEN):
            return self._app
        if session is None:
            return _to_login(request.scope)
        needed = needed_role(request.method, path)
        if session.may(needed):
            return self._app
        return await self._refuse(request, 403, f"This is for the role {needed}; yours is {session.role}.")

    def _find(self, connection: HTTPConnection) -> tuple[Keyring | None, Session | None]:
        ring = self._access.keyring()
        cookie = connection.cookies.get(ring.cookie) if ring else None
        return ring, self._access.session(cookie) if cookie else None


def session_of(request: Request) -> Session:
    """Who makes a request that came through the gate."""
    session: Session | None = request.scope[_SESSION]
    if session is None:
        raise LookupError(f"{request.url.path} is open to everybody and has no session")
    return session


def has_session(request: Request) -> bool:
    """Whether a request is of somebody who is logged in."""
    return request.scope.get(_SESSION) is not None


def keyring_of(request: Request) -> Keyring | None:
    """The keyring as it was when the request came."""
    ring: Keyring | None = request.scope[_RING]
    return ring


def is_page(path: str) -> bool:
    """Whether `path` is one of the dashboard's pages, to which somebody may be sent on after the login."""
    known = path.startswith("/dashboard/") and "\\" not in path and path.isprintable()
    return known and not path.startswith(_OPEN) and "//" not in path.partition("?")[0]


def _to_login(scope: Scope) -> Response:
    """To the login, and from there back to the page that was asked for."""
    wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    known = scope["method"] == "GET" and wanted != "/dashboard/" and is_page(wanted)
    return RedirectResponse(LOGIN + (f"?next={quote(wanted, safe='')}" if known else ""), 303)
