"""Reading attacks, actors and the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select

from metlo_otel.collector.queries.filters import (
    Filter,
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
from metlo_otel.collector.queries.language import with_language
from metlo_otel.collector.queries.services import deployed_in, served_by
from metlo_otel.collector.schema import ACTORS, ATTACKS, AUDIT, ENDPOINTS, TRACES
from metlo_otel.core.categories import ATTACKS as CATEGORIES

_A = ATTACKS.c


def _at(condition: Any) -> Any:
    """Those at endpoints of which a condition holds."""
    return _A.endpoint_id.in_(select(ENDPOINTS.c.id).where(condition))


_CATEGORY = Filter(string, lambda value: _A.category == value.upper(), values=CATEGORIES)

ATTACK_FILTERS: Filters = with_language(
    {
        "attack": _CATEGORY,
        "category": _CATEGORY._replace(values=()),
        "confidence": Filter(one_of("high", "low"), lambda value: _A.confidence == value, values=("high", "low")),
        "path": Filter(string, lambda value: _A.path.icontains(value, autoescape=True), _A.path, ("/api/*",)),
        "field": Filter(string, lambda value: _A.field == value, _A.field, ("reqQuery.*",)),
        "status": Filter(status, lambda value: _A.status.between(*value), values=("2xx", "4xx", "5xx")),
        "blocked": Filter(boolean, lambda value: _A.blocked == value, values=("true", "false")),
        "host": Filter(string, lambda value: _at(ENDPOINTS.c.host == value.lower())),
        "service": served_by(_A.endpoint_id),
        "environment": deployed_in(_A.endpoint_id),
        "source": Filter(string, lambda value: _A.source == value, _A.source),
        "user": Filter(string, lambda value: _A.user == value, _A.user),
        "session": Filter(string, lambda value: _A.session == value, _A.session),
        "endpoint": Filter(number, lambda value: _A.endpoint_id == value),
        "trace": Filter(number, lambda value: _A.stored_trace == value),
        "since": Filter(number, lambda value: _A.at >= value),
        "until": Filter(number, lambda value: _A.at < value),
        "before": Filter(number, lambda value: _A.id < value),
        "after": Filter(number, lambda value: _A.id > value),
    },
    bare="path",
)
_KINDS = ("address", "session", "user")
ACTOR_FILTERS: Filters = with_language(
    {
        "kind": Filter(one_of(*_KINDS), lambda value: ACTORS.c.kind == value, values=_KINDS),
        "value": Filter(string, lambda value: ACTORS.c.value.icontains(value, autoescape=True), ACTORS.c.value),
        "since": Filter(number, lambda value: ACTORS.c.last_seen >= value),
        "until": Filter(number, lambda value: ACTORS.c.first_seen < value),
    },
    bare="value",
)
_ACTOR_ORDERS: dict[str, list[Any]] = {
    "attacks": [ACTORS.c.attacks.desc(), ACTORS.c.last_seen.desc(), ACTORS.c.id],
    "seen": [ACTORS.c.last_seen.desc(), ACTORS.c.id],
    "calls": [ACTORS.c.calls.desc(), ACTORS.c.id],
}
AUDIT_FILTERS: Filters = with_language(
    {
        "who": Filter(string, lambda value: AUDIT.c.who == value, AUDIT.c.who),
        "action": Filter(string, lambda value: AUDIT.c.action == value, AUDIT.c.action),
        "since": Filter(number, lambda value: AUDIT.c.at >= value),
        "until": Filter(number, lambda value: AUDIT.c.at < value),
        "before": Filter(number, lambda value: AUDIT.c.id < value),
    },
    bare="action",
)


def find_attacks(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Attacks, newest first, one item for each category in each field; `before` is the next page's cursor.

    `trace` is None where the trace has been deleted since. Raises FilterError.
    """
    question = ask(parameters, ATTACK_FILTERS)
    joined = ATTACKS.join(ENDPOINTS, ENDPOINTS.c.id == ATTACKS.c.endpoint_id)
    joined = joined.outerjoin(TRACES, TRACES.c.id == ATTACKS.c.stored_trace)
    columns = (
        ATTACKS,
        ENDPOINTS.c.host,
        ENDPOINTS.c.method,
        ENDPOINTS.c.path.label("template"),
        TRACES.c.id.label("kept"),
    )
    wanted = select(*columns).select_from(joined).order_by(ATTACKS.c.id.desc())
    found, total = fetch(connection, wanted, question)
    return page([_attack(row) for row in found], question, total)


def count_attacks(connection: Connection, since: int = 0) -> list[dict[str, Any]]:
    """How many attacks of each category there were since a moment (ms), most first."""
    counted = func.count()
    rows = select(ATTACKS.c.category, counted).where(ATTACKS.c.at >= since).group_by(ATTACKS.c.category)
    found = connection.execute(rows.order_by(counted.desc(), ATTACKS.c.category))
    return [{"category": category, "attacks": n} for category, n in found]


def find_actors(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Actors; `sort` is attacks, seen or calls, `offset` the next page's cursor. Raises FilterError."""
    question = ask(parameters, ACTOR_FILTERS, tuple(_ACTOR_ORDERS))
    found, total = fetch(connection, select(ACTORS).order_by(*_ACTOR_ORDERS[question.sort]), question)
    return page_by_offset([_actor(row) for row in found], question, total)


def read_actor(connection: Connection, actor: int) -> dict[str, Any] | None:
    """One actor; None where there is none."""
    row = connection.execute(select(ACTORS).where(ACTORS.c.id == actor)).one_or_none()
    return None if row is None else _actor(row)


def find_audit(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """The audit log, newest first; `before` is the next page's cursor. Raises FilterError."""
    question = ask(parameters, AUDIT_FILTERS)
    found, total = fetch(connection, select(AUDIT).order_by(AUDIT.c.id.desc()), question)
    items = [
        {"id": row.id, "at": row.at, "who": row.who, "action": row.action, "detail": json.loads(row.detail)}
        for row in found
    ]
    return page(items, question, total)


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
