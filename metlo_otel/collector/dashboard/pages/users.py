"""Users: accounts, their roles and their sessions, made and ended by admins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import accounts
from metlo_otel.collector.audit import note
from metlo_otel.collector.dashboard import words
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.forms import Form, read_form
from metlo_otel.collector.dashboard.gate import session_of
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.passwords import hash_password, make_password
from metlo_otel.collector.dashboard.sessions import end_session, list_sessions

_DONE = {
    "role": "The role is another one, from the next request on.",
    "disabled": "The account is disabled: its sessions have ended, its tokens are not valid.",
    "enabled": "The account is enabled again.",
    "removed": "The account is removed, with its sessions and tokens.",
    "ended": "The session has ended.",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = UsersPages(desk)
    return [
        Route("/users", page.show, methods=["GET"]),
        Route("/users", page.add, methods=["POST"]),
        Route("/users/change", page.change, methods=["POST"]),
        Route("/users/sessions/{id:row}/end", page.end, methods=["POST"]),
    ]


class UsersPages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """All accounts and all sessions."""
        return await self._page(request, *done(request, _DONE))

    async def add(self, request: Request) -> Response:
        """Make an account; its password is made here and shown this once, unless a provider knows it."""
        form = await read_form(request)
        password, hashed = await _made() if form.get("way") != "oidc" else ("", None)
        work = partial(accounts.add_user, name=form.get("name"), role=form.get("role"), password=hashed)
        try:
            await self._desk.change(partial(work, who=self._desk.who(request)))
        except ValueError as problem:
            return await self._wrong(request, problem, form)
        self._desk.access.forget()
        if not password:
            return await self._page(request, Note("The account waits for its first login at the provider.", "good"))
        return await self._page(
            request, Note(f"The password of {form.get('name').strip()}, shown this once:", "good", password)
        )

    async def change(self, request: Request) -> Response:
        """Give an account another role or password, disable, enable or remove it."""
        form = await read_form(request)
        name, what, who = form.get("name"), form.get("what"), self._desk.who(request)
        works: dict[str, Callable[..., None]] = {
            "role": partial(accounts.set_role, role=form.get("role")),
            "disabled": partial(accounts.set_enabled, enabled=False),
            "enabled": partial(accounts.set_enabled, enabled=True),
            "removed": accounts.remove_user,
        }
        try:
            if what == "password":
                return await self._new_password(request, name, who)
            if what not in works:
                raise HTTPException(400, "There is no such change.")
            await self._desk.change(partial(works[what], name=name, who=who))
        except ValueError as problem:
            return await self._wrong(request, problem)
        return seen(f"/dashboard/users?done={what}")

    async def _new_password(self, request: Request, name: str, who: str) -> Response:
        password, hashed = await _made()
        own = session_of(request)
        keep = own.id if own.name == name else None
        await self._desk.change(partial(accounts.set_password, name=name, password=hashed, who=who, keep=keep))
        return await self._page(request, Note(f"The new password of {name}, shown this once:", "good", password))

    async def end(self, request: Request) -> Response:
        """End somebody's session."""
        if not await self._desk.change(partial(_end, number=request.path_params["id"], who=self._desk.who(request))):
            raise HTTPException(404, "There is no such session.")
        return seen("/dashboard/users?done=ended")

    async def _wrong(self, request: Request, problem: ValueError, form: Form | None = None) -> Response:
        text = str(problem)
        shown = Note(f"{text[:1].upper()}{text[1:]}.", "wrong")
        return await self._page(request, shown, given=form.get("name") if form else "", status=400)

    async def _page(self, request: Request, *notes: Note, given: str = "", status: int = 200) -> Response:
        found = await self._desk.read(_read)
        shown = {"roles": words.ROLES, "given": given, "oidc": self._desk.provider}
        return await self._desk.render(request, "users.html", *notes, status=status, **shown, **found)


async def _made() -> tuple[str, str]:
    """A new password and its hash."""
    password = make_password()
    return password, await to_thread.run_sync(hash_password, password)


def _read(connection: Connection) -> dict[str, Any]:
    return {
        "users": accounts.list_users(connection),
        "sessions": list_sessions(connection),
        "alone": accounts.are_alone(connection),
    }


def _end(connection: Connection, number: int, who: str) -> bool:
    ended = end_session(connection, number)
    if ended:
        note(connection, who, "sessions.end", {"id": number})
    return ended
