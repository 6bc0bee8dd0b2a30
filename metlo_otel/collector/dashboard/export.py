"""What a list shows, as a file: CSV for a table, JSON for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.responses import Response

from metlo_otel.collector import queries

MOST = 10_000  # rows of a file
FORMS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Find = Callable[..., queries.Page]


def collect(connection: Connection, find: Find, wanted: Mapping[str, str], cursor: str) -> list[dict[str, Any]]:
    """All that `find` finds for `wanted`, page by page, at most MOST. Raises FilterError."""
    found: list[dict[str, Any]] = []
    asked = {**wanted, "limit": str(queries.LARGEST_PAGE)}
    while len(found) < MOST:
        page = find(connection, asked)
        found += page.items
        if page.next is None:
            break
        asked[cursor] = str(page.next)
    return found[:MOST]


def as_file(items: Sequence[Mapping[str, Any]], name: str, form: str) -> Response:
    """Rows as a file to be saved; raises KeyError for another form than those of FORMS."""
    written = orjson.dumps(list(items), option=orjson.OPT_INDENT_2) if form == "json" else _csv(items)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(written, media_type=FORMS[form], headers=headers)


def _csv(items: Sequence[Mapping[str, Any]]) -> bytes:
    columns = list(dict.fromkeys(name for item in items for name in item))
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(columns)
    rows.writerows([_cell(item.get(name)) for name in columns] for item in items)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """A value for a table; what spreadsheets would take for a formula is made a text, for strangers wrote it."""
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        whole = isinstance(value, list) and all(isinstance(each, str) for each in value)
        value = " ".join(value) if whole else orjson.dumps(value).decode()
    text = str(value).replace("\0", "\ufffd")
    return "'" + text if text.startswith(_FORMULA) else text
