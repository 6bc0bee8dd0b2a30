"""What a page's address asks for, and the answer or what is wrong with the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from starlette.requests import Request

from metlo_otel.collector import queries
from metlo_otel.collector.dashboard.desk import Desk, Note

_LONGEST = 500  # characters of one filter


def read_filters(request: Request, names: Sequence[str]) -> dict[str, str]:
    """The query's parameters that are `names`, empty where they are not given; others are not looked at."""
    asked = request.query_params
    return {name: asked.get(name, "").strip()[:_LONGEST].replace("\0", "") for name in names}


def given(filters: Mapping[str, Any]) -> dict[str, str]:
    """Only those that are not empty."""
    return {name: value for name, value in filters.items() if value}


async def find(desk: Desk, query: Callable[..., queries.Page], wanted: Mapping[str, str]) -> tuple[queries.Page, str]:
    """A page of what `query` finds, and what is wrong with the question: empty where nothing is."""
    try:
        return await desk.read(partial(query, parameters=wanted)), ""
    except queries.FilterError as problem:
        return queries.Page([], None), f"{str(problem)[:1].upper()}{str(problem)[1:]}."


def done(request: Request, words: Mapping[str, str]) -> list[Note]:
    """What was just changed, in words that are ours: the address only says which."""
    known = words.get(request.query_params.get("done", ""))
    return [Note(known, "good", undo=_made(request.query_params.get("undo", "")))] if known else []


def _made(rule: str) -> str:
    """The rule to undo, where its id is one that a click made: nobody's link offers to remove others."""
    try:
        return rule if UUID(rule).version == 5 else ""
    except ValueError:
        return ""
