"""What all lists have in common: filters with chips, a search, a total, saved searches, and files of what is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk
from metlo_otel.collector.dashboard.export import FORMS, as_file, collect
from metlo_otel.collector.dashboard.pages.asking import find, given, read_filters
from metlo_otel.collector.dashboard.rendering import query
from metlo_otel.collector.dashboard.times import Span, read_span
from metlo_otel.collector.views import list_views


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its `name` is that of its page, `labels` are its filters with what they are called, `fixed` what is
    asked where nothing else is, `cursor` where the next page begins.
    """

    name: str
    find: Callable[..., queries.Page]
    language: queries.Filters
    labels: Mapping[str, str]
    cursor: str = "before"
    sorts: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"/dashboard/{self.name}"

    def read(self, request: Request) -> dict[str, str]:
        """What its address asks for, but for the time."""
        sort = ("sort",) if self.sorts else ()
        filters = read_filters(request, (*self.labels, *sort, "q", self.cursor))
        return {**filters, **{name: filters[name] or value for name, value in self.fixed.items()}}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is in force; `without` is the page without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as it was asked for; `values` are for its template."""

    filters: Mapping[str, str]
    page: queries.Page
    values: Mapping[str, Any]
    status: int


async def show(desk: Desk, request: Request, listing: Listing) -> Shown:
    """What a list's page needs."""
    filters, span = listing.read(request), read_span(request)
    wanted = {**given(filters), **span.bounds, "total": "true"}
    page, problem = await find(desk, listing.find, wanted)
    chips = _chips(listing, filters, span)
    views, hosts = await desk.read(partial(_more, listing=listing))
    values = {
        "listing": listing,
        "page": page,
        "filters": filters,
        "filtered": bool(chips),
        "chips": chips,
        "kept": given({**filters, listing.cursor: ""}),
        "problem": problem,
        "span": span,
        "views": views,
        "offered": queries.offered(listing.language, {"host": hosts} if hosts else {}),
        "asked": query({**{name: filters[name] for name in filters if name != listing.cursor}, **span.carried})[1:],
    }
    return Shown(filters, page, values, 400 if problem or span.problem else 200)


def wants_file(request: Request) -> bool:
    """Whether not a page but a file is asked for."""
    return bool(request.query_params.get("as"))


async def answer_file(desk: Desk, request: Request, listing: Listing) -> Response:
    """All that a list shows, on all pages, as a file."""
    form = request.query_params["as"]
    if form not in FORMS:
        raise HTTPException(404, f"A list is saved as {' or '.join(FORMS)}.")
    filters = listing.read(request)
    wanted = {**given({**filters, listing.cursor: ""}), **read_span(request).bounds}
    try:
        work = partial(collect, find=listing.find, wanted=wanted, cursor=listing.cursor)
        return as_file(await desk.read(work), listing.name, form)
    except queries.FilterError as problem:
        raise HTTPException(400, f"{problem}.") from None


def _chips(listing: Listing, filters: Mapping[str, str], span: Span) -> list[Chip]:
    found = [
        Chip(label, filters[name], listing.url + query({**filters, **span.carried, name: "", listing.cursor: ""}))
        for name, label in {"q": "Search", **listing.labels}.items()
        if filters[name] and listing.fixed.get(name) != filters[name]
    ]
    if span.carried:
        found.append(Chip("Time", "", listing.url + query({**filters, listing.cursor: ""})))
    return found


def _more(connection: Connection, listing: Listing) -> tuple[list[dict[str, Any]], list[str]]:
    hosts = queries.list_hosts(connection)[:50] if "host" in listing.language else []
    return list_views(connection, listing.name), [each["host"] for each in hosts]
