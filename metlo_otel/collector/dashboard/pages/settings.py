"""Settings: agents' keys, what agents are told to do, and the password."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions
from metlo_otel.collector.accounts import are_alone
from metlo_otel.collector.configuration import read_parts
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.gate import keyring_of
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.passwords import is_password
from metlo_otel.collector.dashboard.text import json_text
from metlo_otel.collector.dashboard.tracing import read_template, set_template
from metlo_otel.collector.keys import Grant, check_hosts, check_services, list_keys

_DONE = {"saved": "Saved. Connected agents are told within seconds.", "revoked": "The key is not valid any more."}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of agent-config that is edited as text; `json` says that the text is JSON."""

    name: str
    title: str
    about: str
    example: str
    json: bool = True


PARTS = (
    Part(
        "sensitiveDataList",
        "Data classes",
        "What counts as sensitive, found by values or by names. Empty: the built-in classes.",
        '[{"className": "Customer number", "severity": "medium", "regex": "^C-\\\\d{8}$", "keyRegex": null}]',
    ),
    Part(
        "authenticationConfig",
        "Authentication",
        "How requests to a host authenticate: authType is basic, header, jwt or session_cookie.",
        '[{"host": "shop.example", "authType": "jwt", "headerKey": "Authorization"}]',
    ),
    Part(
        "hostMap",
        "Host map",
        "Hosts that count as another one.",
        '[{"host": "shop.example", "pattern": "^shop-\\\\d+"}]',
    ),
    Part("hostBlockList", "Hosts that are not reported", "Regular expressions.", '["^localhost"]'),
    Part(
        "pathBlockList",
        "Paths that are not reported",
        "Regular expressions of paths, for hosts.",
        '[{"host": ".*", "paths": ["^/health$"]}]',
    ),
    Part(
        "detectionExcept",
        "Where findings are fine",
        "Findings of a category in a field of requests to a path do not count: * is any, {name} one segment.",
        '[{"path": "/posts/{id}", "field": "reqBody.text", "category": "SQLI"}]',
    ),
    Part(
        "encryptionPublicKey",
        "Encryption",
        "An RSA public key (PEM). Agents then send content that only its owner can read. Empty: no encryption.",
        "-----BEGIN PUBLIC KEY-----",
        json=False,
    ),
)
_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----")
_PARTS = {part.name: part for part in PARTS}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = SettingsPages(desk)
    return [
        Route("/settings", page.show, methods=["GET"]),
        Route("/settings/keys", page.add_key, methods=["POST"]),
        Route("/settings/keys/{id:row}/revoke", page.revoke_key, methods=["POST"]),
        Route("/settings/capture", page.set_capture, methods=["POST"]),
        Route("/settings/part", page.set_part, methods=["POST"]),
        Route("/settings/tracing", page.set_tracing, methods=["POST"]),
        Route("/settings/password", page.set_password, methods=["POST"]),
    ]


class SettingsPages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """All settings."""
        return await self._page(request, *done(request, _DONE))

    async def add_key(self, request: Request) -> Response:
        """Make a key and show it, this once."""
        form = await read_form(request)
        work = partial(actions.add_key, name=form.get("name"), who=self._desk.who(request))
        try:
            hosts = check_hosts(form.get("hosts").replace(",", " ").split())
            grant = Grant(hosts=hosts, services=check_services(form.get("services")))
            key = await self._desk.change(partial(work, reads=form.get("reads") == "on", grant=grant))
        except ValueError as problem:
            return await self._wrong(request, problem)
        return await self._page(request, Note("The new key, shown this once:", "good", key))

    async def revoke_key(self, request: Request) -> Response:
        """Make a key invalid."""
        number = request.path_params["id"]
        if not await self._desk.change(partial(actions.revoke_key, number=number, who=self._desk.who(request))):
            raise HTTPException(404, "There is no such key.")
        return seen("/dashboard/settings?done=revoked")

    async def set_capture(self, request: Request) -> Response:
        """Whether agents send the content of all requests."""
        wanted = (await read_form(request)).get("capture") == "on"
        return await self._change(request, partial(actions.configure, name="globalFullTraceCapture", value=wanted))

    async def set_part(self, request: Request) -> Response:
        """A part of agent-config."""
        form = await read_form(request)
        part, text = _PARTS.get(form.get("name")), form.get("value")
        if part is None:
            raise HTTPException(400, "There is no such setting.")
        try:
            value = _read_part(part, text)
        except ValueError as problem:
            return await self._wrong(request, ValueError(f"{part.title}: {problem}"), {part.name: text})
        return await self._change(request, partial(actions.configure, name=part.name, value=value), {part.name: text})

    async def set_tracing(self, request: Request) -> Response:
        """The link to the user's tracing."""
        template = (await read_form(request)).get("template")
        return await self._change(request, partial(set_template, template=template))

    async def set_password(self, request: Request) -> Response:
        """Another password, for who knows the one before; everybody has to log in again."""
        form, ring = await read_form(request), keyring_of(request)
        if ring is not None and ring.alone:
            raise HTTPException(400, "Everybody has a password of their own now.")
        known = (
            ring is not None and ring.password and await to_thread.run_sync(is_password, form.get("old"), ring.password)
        )
        if not known:
            return await self._wrong(request, ValueError("the password before is another one"))
        try:
            await to_thread.run_sync(self._desk.access.set_password, form.get("new"))
        except ValueError as problem:
            return await self._wrong(request, problem)
        await self._desk.note(request, "password")
        return seen("/dashboard/login")

    async def _change(
        self, request: Request, work: Callable[..., Any], given: dict[str, str] | None = None
    ) -> Response:
        try:
            await self._desk.change(partial(work, who=self._desk.who(request)))
        except ValueError as problem:
            return await self._wrong(request, problem, given)
        return seen("/dashboard/settings?done=saved")

    async def _wrong(self, request: Request, problem: ValueError, given: dict[str, str] | None = None) -> Response:
        text = str(problem)
        return await self._page(request, Note(f"{text[:1].upper()}{text[1:]}.", "wrong"), given=given, status=400)

    async def _page(
        self, request: Request, *notes: Note, given: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        values = await self._desk.read(_read)
        texts = {part.name: _write_part(part, values["configured"][part.name]) for part in PARTS}
        shown = {"parts": PARTS, "texts": {**texts, **(given or {})}}
        return await self._desk.render(request, "settings.html", *notes, status=status, **values, **shown)


def _read(connection: Connection) -> dict[str, Any]:
    return {
        "configured": read_parts(connection),
        "keys": list_keys(connection),
        "alone": are_alone(connection),
        "template": read_template(connection),
    }


def _read_part(part: Part, text: str) -> Any:
    if not part.json:
        return _read_key(text.strip())
    if not text.strip():
        return None if part.name == "sensitiveDataList" else []
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"this is not JSON: {problem}") from None


def _read_key(text: str) -> str | None:
    """A public key as PEM (RFC 7468); agents say more about one that is none of RSA."""
    if text and _KEY.fullmatch(text) is None:
        raise ValueError("a public key begins with -----BEGIN PUBLIC KEY----- and ends with -----END PUBLIC KEY-----")
    return text or None


def _write_part(part: Part, value: Any) -> str:
    if not value:
        return ""
    return json_text(value) if part.json else str(value)
