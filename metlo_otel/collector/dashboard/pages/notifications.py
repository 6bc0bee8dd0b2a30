"""Notifications: where alerts go, which of them, and how that went."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.forms import Form, read_form
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.destinations import SEVERITIES, Rules, check_rules, kind_of, list_destinations
from metlo_otel.collector.notify import count_waiting, list_sendings, try_out

_DONE = {
    "changed": "Changed. What waits is tried again at once.",
    "removed": "The destination is told no more.",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = NotificationPages(desk)
    return [
        Route("/notifications", page.show, methods=["GET"]),
        Route("/notifications", page.add, methods=["POST"]),
        Route("/notifications/{id:row}/rules", page.change, methods=["POST"]),
        Route("/notifications/{id:row}/enabled", page.enable, methods=["POST"]),
        Route("/notifications/{id:row}/test", page.test, methods=["POST"]),
        Route("/notifications/{id:row}/remove", page.remove, methods=["POST"]),
    ]


class NotificationPages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """All destinations and the delivery log."""
        return await self._page(request, *done(request, _DONE))

    async def add(self, request: Request) -> Response:
        """Tell alerts to one more place; a webhook's secret is made here and shown this once."""
        form = await read_form(request)
        given = {name: form.get(name) for name in ("name", "url")}
        try:
            await to_thread.run_sync(kind_of, given["url"].strip())  # loads Apprise, which takes a second at first
            work = partial(actions.add_destination, name=given["name"], url=given["url"], rules=_rules(form))
            secret = await self._desk.change(partial(work, who=self._desk.who(request)))
        except ValueError as problem:
            return await self._wrong(request, problem, given)
        if secret is None:
            return await self._page(request, Note("Added. Send it a test.", "good"))
        return await self._page(request, Note("The secret that signs what it gets, shown this once:", "good", secret))

    async def change(self, request: Request) -> Response:
        """Tell a place of other alerts."""
        form = await read_form(request)
        try:
            return await self._change(request, rules=_rules(form))
        except ValueError as problem:
            return await self._wrong(request, problem)

    async def enable(self, request: Request) -> Response:
        """Tell a place of no alerts for now, or of alerts again."""
        return await self._change(request, enabled=(await read_form(request)).get("enabled") == "on")

    async def test(self, request: Request) -> Response:
        """Send a message that says that it is a test, and tell how that went."""
        try:
            name, problem = await self._desk.work(partial(try_out, number=request.path_params["id"]))
        except LookupError:
            raise HTTPException(404, "There is no such destination.") from None
        if problem is None:
            return await self._page(request, Note(f"{name} took the test.", "good"))
        return await self._page(request, Note(f"{name} did not take the test: {problem}.", "wrong"))

    async def remove(self, request: Request) -> Response:
        """Tell a place no more."""
        work = partial(actions.remove_destination, number=request.path_params["id"], who=self._desk.who(request))
        if not await self._desk.change(work):
            raise HTTPException(404, "There is no such destination.")
        return seen("/dashboard/notifications?done=removed")

    async def _change(self, request: Request, **changes: Any) -> Response:
        work = partial(actions.change_destination, number=request.path_params["id"], who=self._desk.who(request))
        if not await self._desk.change(partial(work, **changes)):
            raise HTTPException(404, "There is no such destination.")
        return seen("/dashboard/notifications?done=changed")

    async def _wrong(self, request: Request, problem: ValueError, given: dict[str, str] | None = None) -> Response:
        text = str(problem)
        shown = Note(f"{text[:1].upper()}{text[1:]}.", "wrong")
        return await self._page(request, shown, given=given, status=400)

    async def _page(
        self, request: Request, *notes: Note, given: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        found = await self._desk.read(_read)
        shown = {"severities": SEVERITIES, "given": given or {"name": "", "url": ""}, "everything": Rules()}
        return await self._desk.render(request, "notifications.html", *notes, status=status, **shown, **found)


def _rules(form: Form) -> Rules:
    hosts = form.get("hosts").replace(",", " ").split()
    return check_rules(form.get("severity") or "low", form.all("kind"), hosts)


def _read(connection: Connection) -> dict[str, Any]:
    return {
        "destinations": list_destinations(connection),
        "waiting": count_waiting(connection),
        "sendings": list_sendings(connection),
    }
