"""Reading traces and endpoints, by filter and page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from metlo_otel.collector.schema import ENDPOINTS, STATUSES, TRACES

LARGEST_PAGE = 500
DEFAULT_PAGE = 50
_LARGEST_ID = 2**63 - 1

Condition = Callable[[Any], ColumnElement[bool]]
Read = Callable[[str], Any]


class FilterError(ValueError):
    """A parameter that is not known or whose value is wrong; the text says which."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON-ready values, and where the next page begins (None: this is the last one)."""

    items: list[dict[str, Any]]
    next: int | None


def _number(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _LARGEST_ID:
        return int(text)
    raise ValueError("a whole number is expected")


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    raise ValueError("true or false is expected")


def _string(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text without NUL is expected")
    return text


def _page_size(text: str) -> int:
    if 1 <= (size := _number(text)) <= LARGEST_PAGE:
        return size
    raise ValueError(f"a number from 1 to {LARGEST_PAGE} is expected")


def _status(text: str) -> tuple[int, int]:
    """`404`, or `4xx` for the whole class, as a range."""
    if len(text) == 3 and text[0] in "12345" and text[1:].lower() == "xx":
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    number = _number(text)
    return number, number


_TRACE_FILTERS: dict[str, tuple[Read, Condition]] = {
    "endpoint": (_number, lambda value: TRACES.c.endpoint_id == value),
    "host": (_string, lambda value: TRACES.c.host == value),
    "method": (_string, lambda value: TRACES.c.method == value.upper()),
    "path": (_string, lambda value: TRACES.c.path.contains(value, autoescape=True)),
    "status": (_status, lambda value: TRACES.c.status.between(*value)),
    "source": (_string, lambda value: TRACES.c.source == value),
    "user": (_string, lambda value: TRACES.c.user == value),
    "session": (_string, lambda value: TRACES.c.session == value),
    "attack": (_string, lambda value: TRACES.c.attacks.contains(value, autoescape=True)),
    "blocked": (_boolean, lambda value: TRACES.c.blocked == value),
    "since": (_number, lambda value: TRACES.c.received >= value),
    "until": (_number, lambda value: TRACES.c.received < value),
    "before": (_number, lambda value: TRACES.c.id < value),
    "after": (_number, lambda value: TRACES.c.id > value),
}

_ENDPOINT_FILTERS: dict[str, tuple[Read, Condition]] = {
    "host": (_string, lambda value: ENDPOINTS.c.host == value.lower()),
    "method": (_string, lambda value: ENDPOINTS.c.method == value.upper()),
    "path": (_string, lambda value: ENDPOINTS.c.path.contains(value, autoescape=True)),
    "since": (_number, lambda value: ENDPOINTS.c.last_seen >= value),
    "after": (_number, lambda value: ENDPOINTS.c.id > value),
}


def find_traces(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Traces without their documents, newest first; `before` is the next page's cursor. Raises FilterError."""
    limit, conditions = _read(parameters, _TRACE_FILTERS)
    columns = [column for column in TRACES.c if column.name != "document"]
    found = _fetch(connection, select(*columns).where(*conditions).order_by(TRACES.c.id.desc()), limit)
    return _page([_trace(row) for row in found], limit)


def find_endpoints(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Endpoints with their counts, in the order they were found; `after` is the next page's cursor."""
    limit, conditions = _read(parameters, _ENDPOINT_FILTERS)
    found = _fetch(connection, select(ENDPOINTS).where(*conditions).order_by(ENDPOINTS.c.id), limit)
    statuses = _statuses(connection, [row.id for row in found])
    return _page([_endpoint(row, statuses.get(row.id, {})) for row in found], limit)


def read_one(connection: Connection, number: str) -> dict[str, Any] | None:
    """One trace with its document; None where there is none. Raises FilterError."""
    found = connection.execute(select(TRACES).where(TRACES.c.id == _value("id", _number, number))).one_or_none()
    return None if found is None else {**_trace(found), "trace": orjson.Fragment(found.document)}


def count_traces(connection: Connection) -> int:
    """How many traces are kept."""
    return connection.execute(select(func.count()).select_from(TRACES)).scalar_one()


def _read(
    parameters: Mapping[str, str], filters: Mapping[str, tuple[Read, Condition]]
) -> tuple[int, list[ColumnElement[bool]]]:
    limit = DEFAULT_PAGE
    conditions = []
    for name, text in parameters.items():
        if name == "limit":
            limit = _value(name, _page_size, text)
        elif name in filters:
            read, condition = filters[name]
            conditions.append(condition(_value(name, read, text)))
        else:
            raise FilterError(f"there is no parameter {name[:60]!r}; there are limit, {', '.join(filters)}")
    return limit, conditions


def _value(name: str, read: Read, text: str) -> Any:
    try:
        return read(text)
    except ValueError as problem:
        raise FilterError(f"{name} is {text[:60]!r}, but {problem}") from None


def _fetch(connection: Connection, statement: Select[Any], limit: int) -> list[Row[Any]]:
    """A page and one row more, which tells whether there is a next page."""
    return list(connection.execute(statement.limit(limit + 1)))


def _page(items: list[dict[str, Any]], limit: int) -> Page:
    return Page(items[:limit], items[limit - 1]["id"] if len(items) > limit else None)


def _statuses(connection: Connection, endpoints: list[int]) -> dict[int, dict[str, int]]:
    rows = connection.execute(select(STATUSES).where(STATUSES.c.endpoint_id.in_(endpoints)).order_by(STATUSES.c.status))
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.endpoint_id, {})[str(row.status)] = row.calls
    return found


def _endpoint(row: Row[Any], statuses: dict[str, int]) -> dict[str, Any]:
    return {
        "id": row.id,
        "host": row.host,
        "method": row.method,
        "path": row.path,
        "calls": row.calls,
        "statuses": statuses,
        "firstSeen": row.first_seen,
        "lastSeen": row.last_seen,
        "fullTraceCaptureEnabled": row.full_capture,
    }


def _trace(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "endpoint": row.endpoint_id,
        "received": row.received,
        "version": row.version,
        "host": row.host,
        "method": row.method,
        "path": row.path,
        "status": row.status,
        "source": row.source,
        "user": row.user,
        "session": row.session,
        "blocked": row.blocked,
        "attacks": row.attacks.split() if row.attacks else [],
        "redacted": row.redacted,
    }
