"""Reading attacks, actors, alerts and the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select

from metlo_otel.collector import alerts
from metlo_otel.collector.queries.filters import (
    Filters,
    Page,
    ask,
    boolean,
    fetch,
    number,
    one_of,
    page,
    page_by_offset,
    status,
    string,
)
from metlo_otel.collector.queries.services import deployed_in, served_by
from metlo_otel.collector.schema import ACTORS, ALERTS, ATTACKS, AUDIT, ENDPOINTS, TRACES

_ATTACK_FILTERS: Filters = {
    "endpoint": (number, lambda value: ATTACKS.c.endpoint_id == value),
    "host": (string, lambda value: ENDPOINTS.c.host == value.lower()),
    "service": served_by(ATTACKS.c.endpoint_id),
    "environment": deployed_in(ATTACKS.c.endpoint_id),
    "category": (string, lambda value: ATTACKS.c.category == value.upper()),
    "confidence": (one_of("high", "low"), lambda value: ATTACKS.c.confidence == value),
    "path": (string, lambda value: ATTACKS.c.path.icontains(value, autoescape=True)),
    "status": (status, lambda value: ATTACKS.c.status.between(*value)),
    "source": (string, lambda value: ATTACKS.c.source == value),
    "user": (string, lambda value: ATTACKS.c.user == value),
    "session": (string, lambda value: ATTACKS.c.session == value),
    "blocked": (boolean, lambda value: ATTACKS.c.blocked == value),
    "trace": (number, lambda value: ATTACKS.c.stored_trace == value),
    "since": (number, lambda value: ATTACKS.c.at >= value),
    "until": (number, lambda value: ATTACKS.c.at < value),
    "before": (number, lambda value: ATTACKS.c.id < value),
    "after": (number, lambda value: ATTACKS.c.id > value),
}
_ACTOR_FILTERS: Filters = {
    "kind": (one_of("address", "session", "user"), lambda value: ACTORS.c.kind == value),
    "value": (string, lambda value: ACTORS.c.value.icontains(value, autoescape=True)),
    "since": (number, lambda value: ACTORS.c.last_seen >= value),
}
_ACTOR_ORDERS: dict[str, list[Any]] = {
    "attacks": [ACTORS.c.attacks.desc(), ACTORS.c.last_seen.desc(), ACTORS.c.id],
    "seen": [ACTORS.c.last_seen.desc(), ACTORS.c.id],
    "calls": [ACTORS.c.calls.desc(), ACTORS.c.id],
}
_ALERT_FILTERS: Filters = {
    "status": (one_of(*alerts.STATUSES), lambda value: ALERTS.c.status == value),
    "kind": (one_of(*alerts.KINDS), lambda value: ALERTS.c.kind == value),
    "severity": (one_of("low", "medium", "high"), lambda value: ALERTS.c.severity == value),
    "endpoint": (number, lambda value: ALERTS.c.endpoint_id == value),
    "since": (number, lambda value: ALERTS.c.last_seen >= value),
}
_ALERT_ORDERS: dict[str, list[Any]] = {
    "seen": [ALERTS.c.last_seen.desc(), ALERTS.c.id.desc()],
    "new": [ALERTS.c.first_seen.desc(), ALERTS.c.id.desc()],
}
_AUDIT_FILTERS: Filters = {
    "who": (string, lambda value: AUDIT.c.who == value),
    "action": (string, lambda value: AUDIT.c.action == value),
    "before": (number, lambda value: AUDIT.c.id < value),
}


def find_attacks(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Attacks, newest first, one item for each category in each field; `before` is the next page's cursor.

    `trace` is None where the trace has been deleted since. Raises FilterError.
    """
    question = ask(parameters, _ATTACK_FILTERS)
    joined = ATTACKS.join(ENDPOINTS, ENDPOINTS.c.id == ATTACKS.c.endpoint_id)
    joined = joined.outerjoin(TRACES, TRACES.c.id == ATTACKS.c.stored_trace)
    columns = (
        ATTACKS,
        ENDPOINTS.c.host,
        ENDPOINTS.c.method,
        ENDPOINTS.c.path.label("template"),
        TRACES.c.id.label("kept"),
    )
    wanted = select(*columns).select_from(joined).where(*question.conditions).order_by(ATTACKS.c.id.desc())
    return page([_attack(row) for row in fetch(connection, wanted, question)], question)


def count_attacks(connection: Connection, since: int = 0) -> list[dict[str, Any]]:
    """How many attacks of each category there were since a moment (ms), most first."""
    counted = func.count()
    rows = select(ATTACKS.c.category, counted).where(ATTACKS.c.at >= since).group_by(ATTACKS.c.category)
    found = connection.execute(rows.order_by(counted.desc(), ATTACKS.c.category))
    return [{"category": category, "attacks": n} for category, n in found]


def find_actors(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Actors; `sort` is attacks, seen or calls, `offset` the next page's cursor. Raises FilterError."""
    question = ask(parameters, _ACTOR_FILTERS, tuple(_ACTOR_ORDERS))
    wanted = select(ACTORS).where(*question.conditions).order_by(*_ACTOR_ORDERS[question.sort])
    return page_by_offset([_actor(row) for row in fetch(connection, wanted, question)], question)


def read_actor(connection: Connection, actor: int) -> dict[str, Any] | None:
    """One actor; None where there is none."""
    row = connection.execute(select(ACTORS).where(ACTORS.c.id == actor)).one_or_none()
    return None if row is None else _actor(row)


def find_alerts(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Alerts; `sort` is seen (last) or new, `offset` the next page's cursor. Raises FilterError."""
    question = ask(parameters, _ALERT_FILTERS, tuple(_ALERT_ORDERS))
    wanted = select(ALERTS).where(*question.conditions).order_by(*_ALERT_ORDERS[question.sort])
    return page_by_offset([_alert(row) for row in fetch(connection, wanted, question)], question)


def read_alert(connection: Connection, alert: int) -> dict[str, Any] | None:
    """One alert; None where there is none."""
    row = connection.execute(select(ALERTS).where(ALERTS.c.id == alert)).one_or_none()
    return None if row is None else _alert(row)


def find_audit(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """The audit log, newest first; `before` is the next page's cursor. Raises FilterError."""
    question = ask(parameters, _AUDIT_FILTERS)
    found = fetch(connection, select(AUDIT).where(*question.conditions).order_by(AUDIT.c.id.desc()), question)
    items = [
        {"id": row.id, "at": row.at, "who": row.who, "action": row.action, "detail": json.loads(row.detail)}
        for row in found
    ]
    return page(items, question)


def _attack(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at,
        "endpoint": row.endpoint_id,
        "host": row.host,
        "method": row.method,
        "template": row.template,
        "trace": row.kept,
        "category": row.category,
        "field": row.field,
        "confidence": row.confidence,
        "fragment": row.fragment,
        "path": row.path,
        "status": row.status,
        "blocked": row.blocked,
        "source": row.source,
        "user": row.user,
        "session": row.session,
    }


def _actor(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "value": row.value,
        "calls": row.calls,
        "clientErrors": row.client_errors,
        "serverErrors": row.server_errors,
        "attacks": row.attacks,
        "blocked": row.blocked,
        "firstSeen": row.first_seen,
        "lastSeen": row.last_seen,
    }


def _alert(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "severity": row.severity,
        "endpoint": row.endpoint_id,
        "detail": json.loads(row.detail),
        "status": row.status,
        "count": row.count,
        "firstSeen": row.first_seen,
        "lastSeen": row.last_seen,
    }
