"""Findings as they are stored, read in the order that they came, from where a destination has got to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select

from metlo_otel.collector.alert_kinds import title_of
from metlo_otel.collector.schema import ALERTS, ATTACKS, ENDPOINTS, TRACES

AT_ONCE = 500  # of each kind that are read together

State = dict[str, int]
"""By kind of finding: the id of the last one that was forwarded."""

_TABLES: Mapping[str, Table] = {"attack": ATTACKS, "block": TRACES, "alert": ALERTS}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: an attack in a field, a request that was blocked, or an alert. `at` is in ms since the epoch."""

    kind: str
    id: int
    at: int
    severity: str
    title: str
    category: str = ""
    host: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    source: str | None = None
    user: str | None = None
    session: str | None = None
    blocked: bool = False
    confidence: str | None = None
    field: str | None = None
    rule: str | None = None
    trace_id: str | None = None
    detail: Mapping[str, Any] | None = None


def latest(connection: Connection) -> State:
    """Where a destination begins that is new: with what comes from now on."""
    counted = {kind: select(func.max(table.c.id)) for kind, table in _TABLES.items()}
    return {kind: int(connection.execute(each).scalar() or 0) for kind, each in counted.items()}


def after(connection: Connection, state: State) -> tuple[list[Finding], State]:
    """The findings that follow `state`, oldest first, at most AT_ONCE of each kind; and the state after them."""
    found = [*_attacks(connection, state), *_blocks(connection, state), *_alerts(connection, state)]
    done = dict(state)
    for each in found:
        done[each.kind] = max(done.get(each.kind, 0), each.id)
    return sorted(found, key=lambda each: (each.at, each.kind, each.id)), done


def _attacks(connection: Connection, state: State) -> list[Finding]:
    table = ATTACKS.c
    columns = (ATTACKS, ENDPOINTS.c.host, ENDPOINTS.c.method, TRACES.c.trace_id)
    joined = ATTACKS.join(ENDPOINTS, ENDPOINTS.c.id == table.endpoint_id).outerjoin(
        TRACES, TRACES.c.id == table.stored_trace
    )
    wanted = select(*columns).select_from(joined).where(table.id > state.get("attack", 0))
    return [
        Finding(
            "attack", row.id, row.at, "medium" if row.blocked or row.confidence == "low" else "high",
            f"{row.category} in {row.field}", row.category, row.host, row.method, row.path, row.status, row.source,
            row.user, row.session, bool(row.blocked), row.confidence, row.field, trace_id=row.trace_id,
        )
        for row in connection.execute(wanted.order_by(table.id).limit(AT_ONCE))
    ]  # fmt: skip


def _blocks(connection: Connection, state: State) -> list[Finding]:
    table = TRACES.c
    wanted = select(TRACES).where(table.id > state.get("block", 0), table.blocked)
    return [
        Finding(
            "block", row.id, row.received, "medium", "Request blocked" if row.status != 429 else "Request limited",
            "block" if row.status != 429 else "rate_limit", row.host, row.method, row.path, row.status, row.source,
            row.user, row.session, True, rule=row.rule, trace_id=row.trace_id,
        )
        for row in connection.execute(wanted.order_by(table.id).limit(AT_ONCE))
    ]  # fmt: skip


def _alerts(connection: Connection, state: State) -> list[Finding]:
    """Attacks have findings of their own."""
    table = ALERTS.c
    wanted = select(ALERTS).where(table.id > state.get("alert", 0), table.kind != "attack")
    found = []
    for row in connection.execute(wanted.order_by(table.id).limit(AT_ONCE)):
        detail = json.loads(row.detail)
        named = {name: detail.get(name) for name in ("host", "method", "path", "source")}
        title = title_of(row.kind)
        found.append(Finding("alert", row.id, row.first_seen, row.severity, title, row.kind, **named, detail=detail))
    return found
