"""Alerts: what somebody should look at, by kind, and each on a page of its own, until it is resolved or ignored."""

from __future__ import annotations

import time
from functools import partial
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries
from metlo_otel.collector.alert_kinds import KINDS
from metlo_otel.collector.alerts import STATUSES
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import Form, read_form
from metlo_otel.collector.dashboard.gate import session_of
from metlo_otel.collector.dashboard.pages.asking import done, given
from metlo_otel.collector.dashboard.pages.listing import Listing, answer_file, show, wants_file
from metlo_otel.collector.notify import deliveries_of

SNOOZES = {"1h": "1 hour", "24h": "1 day", "7d": "1 week", "30d": "30 days"}
_HOURS = {"1h": 1, "24h": 24, "7d": 168, "30d": 720}
_HOUR = 3_600_000  # milliseconds
_OF_EACH = "5"  # alerts of each kind where all kinds are shown
LIST = Listing(
    "alerts",
    queries.find_alerts,
    queries.ALERT_FILTERS,
    {"status": "Are", "kind": "Kind", "severity": "Severity", "assignee": "Assigned to", "endpoint": "Endpoint"},
    cursor="offset",
    sorts={"severity": "Severity", "seen": "Last seen", "new": "First seen"},
    fixed={"status": "open", "sort": "severity"},
)
_DONE = {
    "open": "Opened again.",
    "resolved": "Resolved. It opens again if it happens again.",
    "ignored": "Ignored.",
    "snoozed": "Snoozed. It opens again when the time is over.",
    "assigned": "Assigned.",
    "commented": "The comment is added.",
    "muted": "This kind is ignored here from now on.",
    "unmuted": "This kind is raised there again from now on.",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of these pages."""
    page = AlertPages(desk)
    return [
        Route("/alerts", page.list, methods=["GET"]),
        Route("/alerts", page.decide, methods=["POST"]),
        Route("/alerts/{id:row}", page.one, methods=["GET"]),
        Route("/alerts/{id:row}/assign", page.assign, methods=["POST"]),
        Route("/alerts/{id:row}/comment", page.comment, methods=["POST"]),
        Route("/alerts/{id:row}/mute", page.mute, methods=["POST"]),
        Route("/alerts/mutes/{id:row}/remove", page.unmute, methods=["POST"]),
    ]


class AlertPages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Request) -> Response:
        """By kind, or those of one kind."""
        if wants_file(request):
            return await answer_file(self._desk, request, LIST)
        shown = await show(self._desk, request, LIST)
        asked = {**given({**shown.filters, "sort": "", "offset": ""}), **shown.values["span"].bounds}
        flat = bool(shown.filters["kind"] or shown.filters["offset"] or shown.values["problem"])
        groups = [] if flat else await self._desk.read(partial(_grouped, asked=asked))
        more = {"groups": groups, "flat": flat, "mutes": await self._desk.read(queries.list_mutes)}
        kinds = {name: kind.words for name, kind in KINDS.items()}
        names: dict[str, Any] = {"kinds": kinds, "statuses": STATUSES, "snoozes": SNOOZES}
        notes = done(request, _DONE)
        return await self._desk.render(
            request, "alerts.html", *notes, status=shown.status, **shown.values, **more, **names
        )

    async def one(self, request: Request) -> Response:
        """One alert, with what is known of it."""
        number = request.path_params["id"]
        found = await self._desk.read(partial(_read, number=number))
        if found is None:
            raise HTTPException(404, f"There is no alert {number}.")
        found["deliveries"] = await self._desk.read(partial(deliveries_of, alert=number))
        own: dict[str, Any] = {"snoozes": SNOOZES, "me": session_of(request).name}
        return await self._desk.render(request, "alert.html", *done(request, _DONE), **found, **own)

    async def decide(self, request: Request) -> Response:
        """Mark those that were chosen as open, resolved, ignored or snoozed."""
        form = await read_form(request)
        ids = [int(text) for text in form.all("id") if text.isascii() and text.isdecimal() and len(text) < 19]
        status, back = form.get("status"), form.get("back")
        try:
            until = _until(form) if status == "snoozed" else None
            who = self._desk.who(request)
            await self._desk.change(partial(actions.set_alert_status, ids=ids, status=status, who=who, until=until))
        except ValueError as problem:
            raise HTTPException(400, str(problem)) from None
        if back.isascii() and back.isdecimal():
            return seen(f"/dashboard/alerts/{back}?done={status}")
        return seen("/dashboard/alerts?" + urlencode(given({"status": form.get("shown"), "done": status})))

    async def assign(self, request: Request) -> Response:
        """Say who looks after an alert."""
        assignee = (await read_form(request)).get("assignee")
        return await self._do(request, "assigned", partial(actions.assign_alert, assignee=assignee))

    async def comment(self, request: Request) -> Response:
        """Add a comment."""
        text = (await read_form(request)).get("text")
        return await self._do(request, "commented", partial(actions.comment_alert, text=text))

    async def mute(self, request: Request) -> Response:
        """Ignore this kind here."""
        return await self._do(request, "muted", actions.mute_kind)

    async def unmute(self, request: Request) -> Response:
        """Raise a kind somewhere again."""
        work = partial(actions.unmute_kind, mute=request.path_params["id"], who=self._desk.who(request))
        if not await self._desk.change(work):
            raise HTTPException(404, "This kind is not ignored there.")
        return seen("/dashboard/alerts?done=unmuted")

    async def _do(self, request: Request, did: str, work: Any) -> Response:
        number = request.path_params["id"]
        try:
            found = await self._desk.change(partial(work, alert=number, who=self._desk.who(request)))
        except ValueError as problem:
            raise HTTPException(400, str(problem)) from None
        if not found:
            raise HTTPException(404, f"There is no alert {number}.")
        return seen(f"/dashboard/alerts/{number}?done={did}")


def _until(form: Form) -> int:
    """When a snooze that begins now ends, in ms since the epoch. Raises ValueError."""
    if form.get("for") not in _HOURS:
        raise ValueError(f"for: is one of {', '.join(_HOURS)}, not {form.get('for')[:60]!r}")
    return int(time.time() * 1000) + _HOURS[form.get("for")] * _HOUR


def _grouped(connection: Connection, asked: dict[str, str]) -> list[dict[str, Any]]:
    """Each kind with how many there are, and the latest of them."""
    groups = queries.group_alerts(connection, asked)
    for group in groups:
        of = {**asked, "kind": group["kind"], "severity": group["severity"], "limit": _OF_EACH}
        group["items"] = queries.find_alerts(connection, of).items
    return groups


def _read(connection: Connection, number: int) -> dict[str, Any] | None:
    alert = queries.read_alert(connection, number)
    if alert is None:
        return None
    of = {} if alert["endpoint"] is None else {"endpoint": str(alert["endpoint"])}
    evidence = {"status": "5xx"} if alert["kind"] == "error_rate" else {}
    category = {"category": str(alert["detail"]["category"])} if alert["detail"].get("category") else {}
    return {
        "alert": alert,
        "traces": queries.find_traces(connection, {**of, **evidence, "limit": "8"}).items if of else [],
        "attacks": queries.find_attacks(connection, {**of, **category, "limit": "8"}).items if of and category else [],
    }
