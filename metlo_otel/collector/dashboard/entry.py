"""Logging in and out, and the theme that a browser remembers."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metlo_otel.collector.accounts import User, find_user
from metlo_otel.collector.dashboard.access import Keyring
from metlo_otel.collector.dashboard.attempts import Attempt, Attempts, known_browser
from metlo_otel.collector.dashboard.desk import THEMES, Desk, theme_of
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import LOGIN, is_page, keyring_of, session_of
from metlo_otel.collector.dashboard.guard import is_secure
from metlo_otel.collector.dashboard.passwords import NOBODYS, is_password
from metlo_otel.collector.dashboard.sessions import LASTS, Visit, end_session, open_session

_NAME = 64  # characters of the name that somebody gives
_LARGEST, _PATIENCE = 16 * 1024, 10.0  # bytes and seconds of a form that anybody may send
_YEAR = 365 * 24 * 3600  # seconds


class Entry:
    """The pages that are open to everybody, and the way out."""

    def __init__(self, desk: Desk, public: str = "") -> None:
        self._desk = desk
        self._public = public
        self._attempts = Attempts()
        self._guessing = CapacityLimiter(1)  # a password costs memory and time: one at a time
        self._returning = CapacityLimiter(1)  # for known browsers, which wait for nobody who guesses
        self.routes = [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/theme", self._theme, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        ring = keyring_of(request)
        name = "" if ring is not None and ring.alone else "admin"
        return self._page(request, {"next": request.query_params.get("next", ""), "name": name, "problem": ""})

    async def _log_in(self, request: Request) -> Response:
        form, ring = await read_form(request, _LARGEST, _PATIENCE), keyring_of(request)
        name = form.get("name").strip()[:_NAME] or "admin"
        shown = {"next": form.get("next"), "name": name}
        user = await self._desk.read(partial(find_user, name=name))
        account = user.name if user else name if ring is not None and ring.alone else ""
        attempt = Attempt.of(ring, self._desk.address(request), account, request.cookies.get(_known(ring), ""))
        if wait := self._attempts.wait(attempt):
            problem = f"Too many wrong passwords. Try again in {wait} seconds."
            return self._page(request, {**shown, "problem": problem}, 429, {"Retry-After": str(wait)})
        if ring is None or not await self._is_right(attempt, form.get("password"), _kept(ring, user)):
            await self._desk.note(request, "login.failed", self._desk.called(request, user.name if user else "nobody"))
            return self._page(request, {**shown, "problem": "This is not the password."}, 403)
        return await self.welcome(request, ring, user, name, "password", form.get("next"))

    async def _is_right(self, attempt: Attempt, password: str, kept: str) -> bool:
        """Whether the password is right. It is counted as wrong until that is known, so that asking many times at once
        is no way around the limit.
        """
        noted = self._attempts.failed(attempt)
        limiter = self._returning if attempt.known else self._guessing
        right = await to_thread.run_sync(is_password, password, kept, limiter=limiter)
        if right:
            self._attempts.forget(noted)
        return right

    async def welcome(
        self, request: Request, ring: Keyring, user: User | None, name: str, way: str, wanted: str
    ) -> Response:
        """Log somebody in and lead to the page that was wanted."""
        visit = Visit(way, self._desk.address(request), request.headers.get("user-agent", ""))
        token = await self._desk.change(partial(open_session, user=user, name=name, visit=visit, now=time.time()))
        if token is None:
            self._desk.access.forget()
            return self._page(request, {"next": wanted, "name": name, "problem": "Log in with your account."}, 403)
        await self._desk.note(request, "login", self._desk.called(request, name))
        answer = RedirectResponse(wanted if is_page(wanted) else "/dashboard/", 303)
        secure = is_secure(request.headers, request.url.scheme) or self._public.startswith("https://")
        kinds: dict[str, Any] = {"path": "/dashboard", "secure": secure, "httponly": True, "samesite": "lax"}
        answer.set_cookie(ring.cookie, token, LASTS, **kinds)
        if way == "password":
            answer.set_cookie(_known(ring), known_browser(ring, user.name if user else ""), _YEAR, **kinds)
        return answer

    async def _log_out(self, request: Request) -> Response:
        ring, session = keyring_of(request), session_of(request)
        await self._desk.change(partial(end_session, number=session.id))
        await self._desk.note(request, "logout")
        answer = RedirectResponse(LOGIN, 303)
        if ring is not None:
            answer.delete_cookie(ring.cookie, path="/dashboard")
        return answer

    async def _theme(self, request: Request) -> Response:
        theme = (await read_form(request)).get("theme")
        answer = RedirectResponse(self._back(request), 303)
        if theme in THEMES:
            answer.set_cookie("metlo_theme", theme, _YEAR, path="/dashboard", httponly=True, samesite="lax")
        return answer

    def _back(self, request: Request) -> str:
        """The page that somebody came from."""
        path = request.headers.get("referer", "").partition("://")[2].partition("/")[2]
        return f"/{path}" if is_page(f"/{path}") else "/dashboard/"

    def _page(
        self, request: Request, values: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        return login_page(self._desk, request, values, status, headers)


def _known(ring: Keyring | None) -> str:
    """The name of a known browser's cookie, which no other collector shares."""
    return ring.cookie.replace("session", "browser") if ring else ""


def login_page(
    desk: Desk, request: Request, values: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """The login with what is shown on it: `next`, `name` and a `problem`."""
    ring = keyring_of(request)
    frame = {"theme": theme_of(request), "oidc": desk.provider, "alone": ring is not None and ring.alone}
    answer = desk.pages.render("login.html", {**frame, **values}, status)
    answer.headers.update(headers or {})
    return answer


def _kept(ring: Keyring, user: User | None) -> str:
    """The hash that a password must fit; one that none fits where there is nobody, which takes as long."""
    if user is not None:
        return user.password if user.password and user.enabled else NOBODYS
    return NOBODYS if ring.alone else ring.password or NOBODYS
