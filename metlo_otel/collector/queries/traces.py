"""Reading traces, by filter and page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select

from metlo_otel.collector.queries.filters import (
    Filters,
    Page,
    ask,
    boolean,
    fetch,
    number,
    page,
    read_value,
    status,
    string,
)
from metlo_otel.collector.queries.services import deployed_in, served_by
from metlo_otel.collector.schema import DOCUMENTS, ENDPOINTS, TRACES

_FILTERS: Filters = {
    "endpoint": (number, lambda value: TRACES.c.endpoint_id == value),
    "host": (string, lambda value: TRACES.c.host == value),
    "service": served_by(TRACES.c.endpoint_id),
    "environment": deployed_in(TRACES.c.endpoint_id),
    "method": (string, lambda value: TRACES.c.method == value.upper()),
    "path": (string, lambda value: TRACES.c.path.icontains(value, autoescape=True)),
    "status": (status, lambda value: TRACES.c.status.between(*value)),
    "source": (string, lambda value: TRACES.c.source == value),
    "user": (string, lambda value: TRACES.c.user == value),
    "session": (string, lambda value: TRACES.c.session == value),
    "attack": (string, lambda value: TRACES.c.attacks.icontains(value, autoescape=True)),
    "blocked": (boolean, lambda value: TRACES.c.blocked == value),
    "interesting": (boolean, lambda value: TRACES.c.interesting == value),
    "trace": (string, lambda value: TRACES.c.trace_id == value.lower()),
    "rule": (string, lambda value: TRACES.c.rule == value),
    "since": (number, lambda value: TRACES.c.received >= value),
    "until": (number, lambda value: TRACES.c.received < value),
    "before": (number, lambda value: TRACES.c.id < value),
    "after": (number, lambda value: TRACES.c.id > value),
}


def find_traces(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Traces without their documents, newest first; `before` is the next page's cursor. Raises FilterError."""
    question = ask(parameters, _FILTERS)
    found = fetch(connection, select(TRACES).where(*question.conditions).order_by(TRACES.c.id.desc()), question)
    return page([_trace(row) for row in found], question)


def read_one(connection: Connection, trace: str) -> dict[str, Any] | None:
    """One trace with its document under `trace`, as JSON; None where there is none. Raises FilterError."""
    wanted = select(TRACES, DOCUMENTS.c.document).join(DOCUMENTS, DOCUMENTS.c.trace_id == TRACES.c.id)
    found = connection.execute(wanted.where(TRACES.c.id == read_value("id", number, trace))).one_or_none()
    return None if found is None else {**_trace(found), "trace": orjson.Fragment(found.document)}


def read_documents(connection: Connection, parameters: Mapping[str, str], most: int) -> Iterator[tuple[Row[Any], Any]]:
    """At most `most` traces that fit `parameters`, newest first, each as its row and its decoded document.

    Raises FilterError.
    """
    question = ask(parameters, _FILTERS)
    wanted = select(TRACES, DOCUMENTS.c.document).join(DOCUMENTS, DOCUMENTS.c.trace_id == TRACES.c.id)
    rows = connection.execute(wanted.where(*question.conditions).order_by(TRACES.c.id.desc()).limit(most))
    for row in rows.yield_per(200):
        yield row, orjson.loads(row.document)


def count_traces(connection: Connection) -> int:
    """How many traces are kept."""
    return connection.execute(select(func.count()).select_from(TRACES)).scalar_one()


def sample(connection: Connection, endpoint: int | None = None) -> dict[str, int]:
    """How many requests there were, of one endpoint or all, and how many of them have a `kept` trace."""
    calls = select(func.coalesce(func.sum(ENDPOINTS.c.calls), 0))
    kept = select(func.count()).select_from(TRACES)
    if endpoint is not None:
        calls, kept = calls.where(ENDPOINTS.c.id == endpoint), kept.where(TRACES.c.endpoint_id == endpoint)
    return {"calls": int(connection.execute(calls).scalar_one()), "kept": connection.execute(kept).scalar_one()}


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
        "rule": row.rule,
        "attacks": row.attacks.split() if row.attacks else [],
        "redacted": row.redacted,
        "interesting": row.interesting,
        "traceId": row.trace_id,
        "durationMicroseconds": row.duration,
    }
