"""Logging in at an OpenID Connect provider: the way there, the way back, and the account that belongs to it."""

from __future__ import annotations

import base64
import json
import logging
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metlo_otel.collector.accounts import User, add_user, bind, find_subject, find_user, set_role
from metlo_otel.collector.dashboard.access import Keyring
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.entry import Entry, login_page
from metlo_otel.collector.dashboard.gate import keyring_of
from metlo_otel.collector.dashboard.guard import is_secure
from metlo_otel.collector.dashboard.provider import Provider, ProviderError, ProviderSettings

LOG = logging.getLogger("metlo_otel.collector")

_COOKIE, _PURPOSE = "metlo_oidc", "login at the provider"
_LASTS = 600  # seconds that somebody has for logging in over there
_ASKING = 4  # logins that wait for the provider at once
_WHO = "OpenID Connect"


class RefusedLoginError(Exception):
    """The provider knows who it is, but they may not come in; the text is for them."""


class Oidc:
    """The two pages, which are open to everybody."""

    def __init__(self, desk: Desk, entry: Entry, provider: Provider, public: str) -> None:
        self._desk = desk
        self._entry = entry
        self._provider = provider
        self._public = public
        self._asking = CapacityLimiter(_ASKING)
        self.routes = [
            Route("/oidc/start", self._start, methods=["GET"]),
            Route("/oidc/callback", self._finish, methods=["GET"]),
        ]

    async def _start(self, request: Request) -> Response:
        ring, wanted = keyring_of(request), request.query_params.get("next", "")[:1000]
        if ring is None:
            return self._refuse(request, "The collector is starting.")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begin = partial(self._provider.start, self._redirect(request), state, nonce, verifier)
        try:
            start = await to_thread.run_sync(begin, limiter=self._asking)
        except ProviderError as problem:
            return self._refuse(request, str(problem))
        answer = RedirectResponse(start.url, 303)
        kept = _pack(ring, [state, nonce, verifier, wanted, int(time.time()) + _LASTS])
        secure = is_secure(request.headers, request.url.scheme) or self._public.startswith("https://")
        answer.set_cookie(
            _COOKIE, kept, _LASTS, path="/dashboard/oidc", secure=secure, httponly=True, samesite="lax"
        )  # lax: the way back comes from another site
        return answer

    async def _finish(self, request: Request) -> Response:
        ring, asked = keyring_of(request), request.query_params
        kept = _unpack(ring, request.cookies.get(_COOKIE, ""), time.time()) if ring else None
        if ring is None or kept is None or not secrets.compare_digest(kept[0], asked.get("state", "")):
            return self._refuse(request, "This login was not begun here, or took too long. Try again.")
        if "code" not in asked:
            said = asked.get("error_description") or asked.get("error") or "no code"
            return self._refuse(request, f"{self._provider.settings.host} said: {said[:200]}")
        _, nonce, verifier, wanted = kept
        end = partial(self._provider.finish, self._redirect(request), asked["code"], nonce, verifier)
        try:
            claims = await to_thread.run_sync(end, limiter=self._asking)
            user = await self._desk.change(partial(account_of, claims=claims, settings=self._provider.settings))
        except (ProviderError, RefusedLoginError) as problem:
            LOG.warning("a login was refused: %s", problem)
            await self._desk.note(request, "login.refused", self._desk.called(request, "nobody"))
            return self._refuse(request, str(problem))
        self._desk.access.forget()
        answer = await self._entry.welcome(request, ring, user, user.name, "oidc", wanted)
        answer.delete_cookie(_COOKIE, path="/dashboard/oidc")
        return answer

    def _redirect(self, request: Request) -> str:
        """Where the provider sends browsers back to, which it must know: it goes nowhere else."""
        base = self._public or f"{request.url.scheme}://{request.headers.get('host', '')}"
        return f"{base}/dashboard/oidc/callback"

    def _refuse(self, request: Request, problem: str) -> Response:
        shown = {"next": "", "name": "", "problem": problem}
        return login_page(self._desk, request, shown, 403)


def account_of(connection: Connection, claims: Mapping[str, Any], settings: ProviderSettings) -> User:
    """The account of who came back: the one that is bound to them, else one that an admin made under their verified
    address, else a new one where the claims give a role. Where roles are set by claims, they hold at every login.
    Raises RefusedLoginError.
    """
    issuer, subject = settings.issuer, str(claims["sub"])[:255]
    role = settings.role_of(claims)
    user = find_subject(connection, issuer, subject) or _made_before(connection, claims, issuer, subject)
    name = _name(claims, subject)
    if user is None and not role:
        raise RefusedLoginError(f"there is no account for {name!r}; an admin makes it under this name")
    if user is None:
        if find_user(connection, name) is not None:  # of somebody else: names are no proof
            name = f"{name[:40]} {secrets.token_hex(4)}"
        bind(connection, add_user(connection, name, role, _WHO), issuer, subject)
    elif not user.enabled:
        raise RefusedLoginError(f"the account {user.name!r} is disabled")
    elif settings.roles and not role:
        raise RefusedLoginError(f"{settings.role_claim} has nothing that gives {user.name!r} a role")
    elif settings.roles:
        set_role(connection, user.name, role, _WHO, by_provider=True)
    found = find_subject(connection, issuer, subject)
    if found is None:
        raise RefusedLoginError("the account was removed in this moment")
    return found


def _made_before(connection: Connection, claims: Mapping[str, Any], issuer: str, subject: str) -> User | None:
    """An account without a password that waits for its first login under an address that the provider has verified."""
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        return None
    user = find_user(connection, email)
    if user is None or user.subject is not None or user.password is not None:
        return None
    bind(connection, user.id, issuer, subject)
    return user


def _name(claims: Mapping[str, Any], subject: str) -> str:
    told = (claims.get(key) for key in ("email", "preferred_username", "name"))
    shown = next((text.strip() for text in told if isinstance(text, str) and text.strip()), subject)
    return "".join(char for char in shown if char.isprintable())[:64].strip() or "somebody"


def _pack(ring: Keyring, values: list[Any]) -> str:
    content = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    return f"{content}.{ring.sign(_PURPOSE, content)}"


def _unpack(ring: Keyring, cookie: str, now: float) -> tuple[str, str, str, str] | None:
    """State, nonce, verifier and the page that was wanted, of a login that began here and lately."""
    content, _, tag = cookie.partition(".")
    if not ring.is_signed(_PURPOSE, content, tag):
        return None
    state, nonce, verifier, wanted, ends = json.loads(base64.urlsafe_b64decode(content))
    return (state, nonce, verifier, wanted) if ends > now else None
