"""Alerts: what is raised, once for each subject, and what people make of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, case, null, update
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.audit import note
from metlo_otel.collector.database import write_many
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import ALERTS

KINDS = (
    "new_endpoint",
    "sensitive_data",
    "sensitive_in_url",
    "unauthenticated_data",
    "basic_authentication",
    "no_tls",
    "spec_diff",
    "attack",
    "error_rate",
    "rate_limit",
)
STATUSES = ("open", "resolved", "ignored")


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell. Alerts of a kind with the same subject are one, counted; `severity` is low, medium or high."""

    kind: str
    subject: str
    severity: str
    endpoint: int | None = None
    detail: dict[str, Any] = field(default_factory=dict, compare=False)


def raise_alerts(connection: Connection, alerts: Iterable[Alert], now: int) -> None:
    """Raise alerts: a resolved one opens again and is told again, an ignored one stays ignored."""
    counted: Counter[tuple[str, str]] = Counter()
    latest = {}
    for alert in alerts:
        key = (alert.kind, storable(alert.subject, 600))
        counted[key] += 1
        latest[key] = alert
    if not counted:
        return
    rows = [_row(*key, latest[key], times, now) for key, times in sorted(counted.items())]
    write_many(connection, _raising(connection.dialect.name), rows)


@lru_cache
def _raising(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(ALERTS)
    again = ALERTS.c.status == "resolved"
    changes = {
        "count": ALERTS.c.count + statement.excluded.count,
        "last_seen": statement.excluded.last_seen,
        "status": case((again, "open"), else_=ALERTS.c.status),
        "notified": case((again, null()), else_=ALERTS.c.notified),
    }
    return statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=changes)


def _row(kind: str, subject: str, alert: Alert, times: int, now: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "subject": subject,
        "severity": alert.severity,
        "endpoint_id": alert.endpoint,
        "detail": json.dumps(alert.detail).replace("\\u0000", "\\ufffd"),
        "status": "open",
        "count": times,
        "first_seen": now,
        "last_seen": now,
        "attempts": 0,
    }


def set_alert_status(connection: Connection, ids: Sequence[int], status: str, who: str) -> int:
    """Mark alerts as open, resolved or ignored; how many there were. Raises ValueError for another status."""
    if status not in STATUSES:
        raise ValueError(f"an alert is {', '.join(STATUSES)}, not {status[:60]!r}")
    changed = connection.execute(update(ALERTS).where(ALERTS.c.id.in_(list(ids))).values(status=status)).rowcount
    note(connection, who, "alerts." + status, {"ids": list(ids)})
    return changed
