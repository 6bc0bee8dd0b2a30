"""Specifications: what was observed of each host as OpenAPI, and how it differs from what was uploaded."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, Row, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions, queries
from metlo_otel.collector.dashboard.desk import Desk, Note, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.dashboard.rendering import query
from metlo_otel.collector.openapi import describe_host, to_yaml
from metlo_otel.collector.schema import SPECS
from metlo_otel.collector.spec_diff import Difference, compare
from metlo_otel.collector.specs import described_endpoints

_DONE = {"saved": "Stored. Agents check responses against it from now on.", "removed": "The specification is removed."}
_SHOWN = 500  # differences on a page
_FORMS = {"json": "application/json", "yaml": "application/yaml"}  # RFC 9512


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""
    page = SpecPages(desk)
    return [
        Route("/specs", page.list, methods=["GET"]),
        Route("/specs", page.save, methods=["POST"]),
        Route("/specs/remove", page.remove, methods=["POST"]),
        Route("/specs/observed", page.download, methods=["GET"]),
        Route("/specs/diff", page.diff, methods=["GET"]),
    ]


class SpecPages:
    """The handlers, around one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reading = CapacityLimiter(1)  # of what takes a second or two, one at a time

    async def list(self, request: Request) -> Response:
        """All hosts and all specifications."""
        return await self._page(request, *done(request, _DONE))

    async def save(self, request: Request) -> Response:
        """Store a specification."""
        form = await read_form(request)
        given = {name: form.get(name).strip() for name in ("name", "host", "text")}
        name, host = given["name"] or given["host"], given["host"]
        work = partial(actions.put_spec, name=name, host=host, text=given["text"], who=self._desk.who(request))
        try:
            await to_thread.run_sync(described_endpoints, given["text"], limiter=self._reading)
            await self._desk.change(work)  # which finds what was read: who writes does not wait for it
        except ValueError as problem:
            text = str(problem)
            return await self._page(request, Note(f"{text[:1].upper()}{text[1:]}.", "wrong"), given=given, status=400)
        return seen("/dashboard/specs/diff" + query({"name": name, "done": "saved"}))

    async def remove(self, request: Request) -> Response:
        """Forget a specification."""
        name = (await read_form(request)).get("name")
        if not await self._desk.change(partial(actions.remove_spec, name=name, who=self._desk.who(request))):
            raise HTTPException(404, "There is no such specification.")
        return seen("/dashboard/specs?done=removed")

    async def download(self, request: Request) -> Response:
        """What was observed of a host, as a file."""
        host, form = request.query_params.get("host", ""), request.query_params.get("as", "json")
        found = await self._desk.read(partial(describe_host, host=host))
        if found is None or form not in _FORMS:
            raise HTTPException(404, "Nothing of this host was seen.")
        text = json.dumps(found, indent=2, ensure_ascii=False) if form == "json" else to_yaml(found)
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", host)[:80]
        headers = {"Content-Disposition": f'attachment; filename="{name}.openapi.{form}"'}
        return Response(text, media_type=_FORMS[form], headers=headers)

    async def diff(self, request: Request) -> Response:
        """How what was observed differs from an uploaded specification."""
        found = await self._desk.read(partial(_compare, name=request.query_params.get("name", "")))
        if found is None:
            raise HTTPException(404, "There is no such specification.")
        spec, differences = found
        return await self._desk.render(
            request,
            "spec.html",
            *done(request, _DONE),
            spec=spec,
            differences=differences[:_SHOWN],
            left=max(len(differences) - _SHOWN, 0),
        )

    async def _page(
        self, request: Request, *notes: Note, given: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        return await self._desk.render(
            request,
            "specs.html",
            *notes,
            status=status,
            hosts=await self._desk.read(queries.list_hosts),
            specs=await self._desk.read(_list),
            given=given or {"name": "", "host": "", "text": ""},
        )


def _list(connection: Connection) -> list[Row[Any]]:
    columns = (SPECS.c.name, SPECS.c.host, SPECS.c.changed)
    return list(connection.execute(select(*columns).order_by(SPECS.c.name)))


def _compare(connection: Connection, name: str) -> tuple[Row[Any], list[Difference]] | None:
    spec = connection.execute(select(SPECS).where(SPECS.c.name == name)).one_or_none()
    if spec is None:
        return None
    return spec, compare(describe_host(connection, spec.host) or {}, spec.text)
