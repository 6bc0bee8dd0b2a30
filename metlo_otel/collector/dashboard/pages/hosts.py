"""Hosts: which of those that were called are one's own."""

from __future__ import annotations

from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector import actions
from metlo_otel.collector.dashboard.desk import Desk, seen
from metlo_otel.collector.dashboard.forms import read_form
from metlo_otel.collector.dashboard.pages.asking import done
from metlo_otel.collector.hosts import list_hosts

_SHOWN = 300  # hosts of each kind
_DONE = {
    "own": "Known as yours: what is learnt of them is kept, whatever else is called.",
    "foreign": "Not yours: their calls are counted with those that belong to no endpoint.",
}


def routes(desk: Desk) -> list[Route]:
    """The routes of this page."""

    async def hosts(request: Request) -> Response:
        found = await desk.read(list_hosts)
        kinds = {name: [each for each in found if each["own"] is own] for name, own in _KINDS.items()}
        counts = {name: len(some) for name, some in kinds.items()}
        shown = {name: some[:_SHOWN] for name, some in kinds.items()}
        return await desk.render(request, "hosts.html", *done(request, _DONE), kinds=shown, counts=counts)

    async def mark(request: Request) -> Response:
        form = await read_form(request)
        own = _SAID.get(form.get("own"))
        if own is None:
            raise HTTPException(400, "A host is yours (own=yes) or not (own=no).")
        await desk.change(partial(actions.mark_hosts, hosts=form.all("host"), own=own, who=desk.who(request)))
        return seen(f"/dashboard/hosts?done={'own' if own else 'foreign'}")

    return [Route("/hosts", hosts, methods=["GET"]), Route("/hosts", mark, methods=["POST"])]


_KINDS = {"unsaid": None, "own": True, "foreign": False}
_SAID = {"yes": True, "no": False}
