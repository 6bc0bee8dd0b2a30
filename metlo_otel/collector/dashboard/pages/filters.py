"""What a page's address asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

_LONGEST = 500  # characters of one filter


def read_filters(request: Request, names: Sequence[str]) -> dict[str, str]:
    """The query's parameters that are `names`, empty where they are not given; others are not looked at."""
    given = request.query_params
    return {name: given.get(name, "").strip()[:_LONGEST].replace("\0", "") for name in names}


def given(filters: Mapping[str, Any]) -> dict[str, str]:
    """Only those that are not empty."""
    return {name: value for name, value in filters.items() if value}


def read_id(text: str) -> int | None:
    """A number of the database, None where a text is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
