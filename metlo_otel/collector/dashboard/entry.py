"""Logging in and out, and the theme that a browser remembers."""

from __future__ import annotations

import time
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metlo_otel.collector.dashboard.access import Keyring
from metlo_otel.collector.dashboard.attempts import Attempts
from metlo_otel.collector.dashboard.desk import THEMES, Desk, theme_of
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import LOGIN, is_page, keyring_of, session_of
from metlo_otel.collector.dashboard.guard import is_secure
from metlo_otel.collector.dashboard.passwords import is_password
from metlo_otel.collector.dashboard.sessions import LASTS, open_session

_NAME = 64  # characters of the name that somebody gives
_LARGEST, _PATIENCE = 16 * 1024, 10.0  # bytes and seconds of a form that anybody may send
_YEAR = 365 * 24 * 3600  # seconds


class Entry:
    """The pages that are open to everybody, and the way out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._attempts = Attempts()
        self._guessing = CapacityLimiter(1)  # a password costs memory and time: one at a time
        self.routes = [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/theme", self._theme, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return self._page(request, {"next": request.query_params.get("next", ""), "name": "admin", "problem": ""})

    async def _log_in(self, request: Request) -> Response:
        form = await read_form(request, _LARGEST, _PATIENCE)
        name = form.get("name").strip()[:_NAME] or "admin"
        shown = {"next": form.get("next"), "name": name}
        if wait := self._attempts.wait(self._desk.address(request)):
            problem = f"Too many wrong passwords. Try again in {wait} seconds."
            return self._page(request, {**shown, "problem": problem}, 429, {"Retry-After": str(wait)})
        ring = await self._open(request, form.get("password"))
        if ring is None:
            return self._page(request, {**shown, "problem": "This is not the password."}, 403)
        return await self._welcome(request, ring, name, form.get("next"))

    async def _open(self, request: Request, password: str) -> Keyring | None:
        """The keyring where the password is right. It is counted as wrong until that is known, so that asking many
        times at once is no way around the limit.
        """
        ring, address = keyring_of(request), self._desk.address(request)
        attempt = self._attempts.failed(address)
        if ring:
            known = await to_thread.run_sync(is_password, password, ring.password, limiter=self._guessing)
            if known:
                self._attempts.forget(attempt)
                return ring
        await self._desk.note(request, "login.failed", self._desk.called(request, "nobody"))
        return None

    async def _welcome(self, request: Request, ring: Keyring, name: str, wanted: str) -> Response:
        session = open_session(name, time.time())
        await self._desk.note(request, "login", self._desk.called(request, name))
        answer = RedirectResponse(wanted if is_page(wanted) else "/dashboard/", 303)
        value = self._desk.access.cookie_value(ring, session)
        secure = is_secure(request.headers, request.url.scheme)
        answer.set_cookie(ring.cookie, value, LASTS, path="/dashboard", secure=secure, httponly=True, samesite="lax")
        return answer

    async def _log_out(self, request: Request) -> Response:
        ring, session = keyring_of(request), session_of(request)
        await to_thread.run_sync(self._desk.access.end, session)
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
        answer = self._desk.pages.render("login.html", {**values, "theme": theme_of(request)}, status)
        answer.headers.update(headers or {})
        return answer
