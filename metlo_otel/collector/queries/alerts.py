"""Reading alerts: as a list, by kind, and one of them with what was said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from metlo_otel.collector.alert_kinds import KINDS, SEVERITIES, reason_of
from metlo_otel.collector.alerts import STATUSES
from metlo_otel.collector.queries.filters import (
    Filter,
    Filters,
    Page,
    ask,
    fetch,
    number,
    one_of,
    page_by_offset,
    string,
)
from metlo_otel.collector.queries.language import with_language
from metlo_otel.collector.schema import ALERT_COMMENTS, ALERT_MUTES, ALERTS, ENDPOINTS

_T = ALERTS.c
_BY_SEVERITY = case({name: rank for rank, name in enumerate(SEVERITIES)}, value=_T.severity, else_=len(SEVERITIES))
_ORDERS: dict[str, list[Any]] = {
    "severity": [_BY_SEVERITY, _T.last_seen.desc(), _T.id.desc()],
    "seen": [_T.last_seen.desc(), _T.id.desc()],
    "new": [_T.first_seen.desc(), _T.id.desc()],
}
ALERT_FILTERS: Filters = with_language(
    {
        "status": Filter(one_of(*STATUSES), lambda value: _T.status == value, values=STATUSES),
        "kind": Filter(one_of(*KINDS), lambda value: _T.kind == value, values=tuple(KINDS)),
        "severity": Filter(one_of(*SEVERITIES), lambda value: _T.severity == value, values=SEVERITIES),
        "assignee": Filter(string, lambda value: _T.assignee == value, _T.assignee),
        "about": Filter(string, lambda value: _T.detail.icontains(json.dumps(value)[1:-1], autoescape=True)),
        "endpoint": Filter(number, lambda value: _T.endpoint_id == value),
        "since": Filter(number, lambda value: _T.last_seen >= value),
        "until": Filter(number, lambda value: _T.first_seen < value),
    },
    bare="about",
)


def find_alerts(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Alerts; `sort` is severity, seen (last) or new, `offset` the next page's cursor. Raises FilterError."""
    question = ask(parameters, ALERT_FILTERS, tuple(_ORDERS))
    found, total = fetch(connection, select(ALERTS).order_by(*_ORDERS[question.sort]), question)
    return page_by_offset([_alert(row) for row in found], question, total)


def group_alerts(connection: Connection, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """How many alerts there are of each kind and severity, the gravest first. Raises FilterError."""
    question = ask(parameters, ALERT_FILTERS)
    columns = (_T.kind, _T.severity, func.count(), func.max(_T.last_seen))
    rows = select(*columns).where(*question.conditions).group_by(_T.kind, _T.severity)
    ordered = rows.order_by(_BY_SEVERITY, func.max(_T.last_seen).desc(), _T.kind)
    names = ("kind", "severity", "alerts", "lastSeen")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(ordered)]


def read_alert(connection: Connection, alert: int) -> dict[str, Any] | None:
    """One alert, with its `comments`, oldest first; None where there is none."""
    row = connection.execute(select(ALERTS).where(_T.id == alert)).one_or_none()
    if row is None:
        return None
    table = ALERT_COMMENTS.c
    rows = select(table.at, table.who, table.text).where(table.alert_id == alert).order_by(table.id)
    return {**_alert(row), "comments": [each._asdict() for each in connection.execute(rows)]}


def list_mutes(connection: Connection) -> list[dict[str, Any]]:
    """The kinds of alerts that are ignored somewhere, the latest first."""
    table, place = ALERT_MUTES.c, ENDPOINTS.c
    columns = (table.id, table.kind, table.endpoint_id, table.who, table.made, place.method, place.path)
    host = func.coalesce(place.host, table.host).label("host")
    joined = ALERT_MUTES.outerjoin(ENDPOINTS, place.id == table.endpoint_id)
    rows = select(*columns, host).select_from(joined).order_by(table.id.desc())
    return [each._asdict() for each in connection.execute(rows)]


def _alert(row: Row[Any]) -> dict[str, Any]:
    detail, count = json.loads(row.detail), int(row._mapping["count"])
    return {
        "id": row.id,
        "kind": row.kind,
        "severity": row.severity,
        "reason": reason_of(row.kind, detail, count),
        "endpoint": row.endpoint_id,
        "detail": detail,
        "status": row.status,
        "assignee": row.assignee,
        "snoozedUntil": row.snoozed_until,
        "count": count,
        "firstSeen": row.first_seen,
        "lastSeen": row.last_seen,
    }
