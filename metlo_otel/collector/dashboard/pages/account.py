"""One's own account: its password, its sessions, and tokens for programs."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import accounts
from metlo_otel.collector.audit import note
from metlo_otel.collector.dashboard import words
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import session_of
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.passwords import NOBODYS, check_password, hash_password, is_password
from metlo_otel.collector.dashboard.sessions import Session, end_session, list_sessions
from metlo_otel.collector.keys import SCOPES, Grant, Key, add_key, list_keys, revoke_key
from metlo_otel.collector.schema import KEYS

_DONE = {
    "password": "The password is another one, and your other sessions have ended.",
    "ended": "The session has ended.",
    "revoked": "The token is not valid any more.",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = AccountPages(desk)
    return [
        Route("/account", page.show, methods=["GET"]),
        Route("/account/password", page.set_password, methods=["POST"]),
        Route("/account/tokens", page.add_token, methods=["POST"]),
        Route("/account/tokens/{id:row}/revoke", page.revoke_token, methods=["POST"]),
        Route("/account/sessions/{id:row}/end", page.end, methods=["POST"]),
    ]


class AccountPages:
    """The handlers, around one desk; each looks only at what is of who asks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """What there is."""
        return await self._page(request, *done(request, _DONE))

    async def set_password(self, request: Request) -> Response:
        """Another password, for who knows the one before; the account's other sessions end."""
        form, session = await read_form(request), _own(request)
        user = await self._desk.read(partial(accounts.find_user, name=session.name))
        kept = user.password if user is not None and user.password else NOBODYS
        if not await to_thread.run_sync(is_password, form.get("old"), kept):
            return await self._wrong(request, "The password before is another one.")
        try:
            hashed = await to_thread.run_sync(hash_password, check_password(form.get("new")))
        except ValueError as problem:
            return await self._wrong(request, f"{str(problem).capitalize()}.")
        work = partial(accounts.set_password, name=session.name, password=hashed, keep=session.id)
        await self._desk.change(partial(work, who=self._desk.who(request)))
        return seen("/dashboard/account?done=password")

    async def add_token(self, request: Request) -> Response:
        """Make a token for reading, and show it, this once."""
        form, session = await read_form(request), _own(request)
        scopes = frozenset(form.all("scope")).intersection(SCOPES)
        if not scopes:
            return await self._wrong(request, "Say what the token is for reading.")
        work = partial(add_key, name=f"{session.name[:30]}: {form.get('name').strip()}", reads=True, user=session.user)
        try:
            token = await self._desk.change(partial(work, grant=Grant(scopes), who=self._desk.who(request)))
        except ValueError as problem:
            return await self._wrong(request, f"{str(problem)[:1].upper()}{str(problem)[1:]}.")
        return await self._page(request, Note("The new token, shown this once:", "good", token))

    async def revoke_token(self, request: Request) -> Response:
        """Make one's own token invalid."""
        work = partial(_revoke, number=request.path_params["id"], user=_own(request).user, who=self._desk.who(request))
        if not await self._desk.change(work):
            raise HTTPException(404, "There is no such token.")
        return seen("/dashboard/account?done=revoked")

    async def end(self, request: Request) -> Response:
        """End one of one's own sessions."""
        work = partial(_end, number=request.path_params["id"], session=session_of(request), who=self._desk.who(request))
        if not await self._desk.change(work):
            raise HTTPException(404, "There is no such session.")
        return seen("/dashboard/account?done=ended")

    async def _wrong(self, request: Request, text: str) -> Response:
        return await self._page(request, Note(text, "wrong"), status=400)

    async def _page(self, request: Request, *notes: Note, status: int = 200) -> Response:
        found = await self._desk.read(partial(_read, session=session_of(request)))
        shown = {"scopes": words.SCOPES, "roles": words.ROLES}
        return await self._desk.render(request, "account.html", *notes, status=status, **shown, **found)


def _own(request: Request) -> Session:
    """The session of an account; the password that all share has none. Raises HTTPException."""
    session = session_of(request)
    if session.user is None:
        raise HTTPException(400, "The password that everybody shares has no account.")
    return session


def _read(connection: Connection, session: Session) -> dict[str, Any]:
    user = accounts.find_user(connection, session.name) if session.user is not None else None
    return {
        "user": user,
        "sessions": [each for each in list_sessions(connection) if _is_same(each, session)],
        "tokens": [each for each in list_keys(connection) if _is_of(each, session)],
    }


def _is_same(one: Session, other: Session) -> bool:
    """Whether both are of the same account; of the shared password each is its own."""
    return one.id == other.id if other.user is None else one.user == other.user


def _is_of(key: Key, session: Session) -> bool:
    return session.user is not None and key.user == session.name


def _revoke(connection: Connection, number: int, user: int | None, who: str) -> bool:
    owned = connection.execute(select(KEYS.c.id).where(KEYS.c.id == number, KEYS.c.user_id == user)).scalar()
    return owned is not None and revoke_key(connection, number, who)


def _end(connection: Connection, number: int, session: Session, who: str) -> bool:
    own = {each.id for each in list_sessions(connection) if _is_same(each, session)}
    if number not in own:
        return False
    note(connection, who, "sessions.end", {"id": number})
    return end_session(connection, number)
