"""Reading traces, by filter and page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select

from metlo_otel.collector.queries.filters import (
    Filter,
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
    took,
)
from metlo_otel.collector.queries.language import with_language
from metlo_otel.collector.queries.services import deployed_in, served_by
from metlo_otel.collector.schema import DOCUMENTS, ENDPOINTS, TRACES
from metlo_otel.core.categories import ATTACKS
from metlo_otel.core.record import METHODS

_T = TRACES.c
_STATUSES = ("2xx", "3xx", "4xx", "5xx", ">=400", "404")
TRACE_FILTERS: Filters = with_language(
    {
        "status": Filter(status, lambda value: _T.status.between(*value), values=_STATUSES),
        "method": Filter(string, lambda value: _T.method == value.upper(), values=tuple(sorted(METHODS))),
        "path": Filter(string, lambda value: _T.path.icontains(value, autoescape=True), _T.path, ("/api/*",)),
        "attack": Filter(string, lambda value: _T.attacks.icontains(value, autoescape=True), values=ATTACKS),
        "blocked": Filter(boolean, lambda value: _T.blocked == value, values=("true", "false")),
        "took": Filter(took, lambda value: _T.duration.between(*value), values=(">100ms", ">500ms", ">2s")),
        "host": Filter(string, lambda value: _T.host == value, _T.host),
        "service": served_by(_T.endpoint_id),
        "environment": deployed_in(_T.endpoint_id),
        "user": Filter(string, lambda value: _T.user == value, _T.user),
        "source": Filter(string, lambda value: _T.source == value, _T.source),
        "session": Filter(string, lambda value: _T.session == value, _T.session),
        "rule": Filter(string, lambda value: _T.rule == value, _T.rule),
        "trace": Filter(string, lambda value: _T.trace_id == value.lower()),
        "endpoint": Filter(number, lambda value: _T.endpoint_id == value),
        "interesting": Filter(boolean, lambda value: _T.interesting == value, values=("true",)),
        "since": Filter(number, lambda value: _T.received >= value),
        "until": Filter(number, lambda value: _T.received < value),
        "before": Filter(number, lambda value: _T.id < value),
        "after": Filter(number, lambda value: _T.id > value),
    },
    bare="path",
)


def find_traces(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Traces without their documents, newest first; `before` is the next page's cursor. Raises FilterError."""
    question = ask(parameters, TRACE_FILTERS)
    found, total = fetch(connection, select(TRACES).order_by(TRACES.c.id.desc()), question)
    return page([_trace(row) for row in found], question, total)


def read_one(connection: Connection, trace: str) -> dict[str, Any] | None:
    """One trace with its document under `trace`, as JSON; None where there is none. Raises FilterError."""
    wanted = select(TRACES, DOCUMENTS.c.document).join(DOCUMENTS, DOCUMENTS.c.trace_id == TRACES.c.id)
    found = connection.execute(wanted.where(TRACES.c.id == read_value("id", number, trace))).one_or_none()
    return None if found is None else {**_trace(found), "trace": orjson.Fragment(found.document)}


def read_documents(connection: Connection, parameters: Mapping[str, str], most: int) -> Iterator[tuple[Row[Any], Any]]:
    """At most `most` traces that fit `parameters`, newest first, each as its row and its decoded document.

    Raises FilterError.
    """
    question = ask(parameters, TRACE_FILTERS)
    wanted = select(TRACES, DOCUMENTS.c.document).join(DOCUMENTS, DOCUMENTS.c.trace_id == TRACES.c.id)
    wanted = wanted.where(*question.conditions, *question.start)
    rows = connection.execute(wanted.order_by(TRACES.c.id.desc()).limit(most))
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
