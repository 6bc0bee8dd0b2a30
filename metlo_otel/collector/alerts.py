"""Alerts: what is raised, once for each subject, and what people make of them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, case, delete, insert, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from metlo_otel.collector.alert_kinds import severity_of
from metlo_otel.collector.audit import note
from metlo_otel.collector.database import write_many
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import ALERT_COMMENTS, ALERT_MUTES, ALERTS

_Here = tuple[str, int | None, str | None]

STATUSES = ("open", "snoozed", "resolved", "ignored")
"""A snoozed one is open again at its time (`snoozed_until`)."""

_LONGEST_COMMENT = 4_000
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell. Alerts of a kind with the same subject are one, counted; `severity` is low, medium or high,
    unless it is said that of the kind.
    """

    kind: str
    subject: str
    endpoint: int | None = None
    detail: dict[str, Any] = field(default_factory=dict, compare=False)
    severity: str = ""


def raise_alerts(connection: Connection, alerts: Iterable[Alert], now: int) -> None:
    """Raise alerts: a resolved one opens again and is told again, an ignored or snoozed one stays so. One of a kind
    that is ignored where it happens is ignored from the beginning.
    """
    counted: Counter[tuple[str, str]] = Counter()
    latest = {}
    for alert in alerts:
        key = (alert.kind, storable(alert.subject, 600))
        counted[key] += 1
        latest[key] = alert
    if not counted:
        return
    muted = _muted(connection)
    rows = [_row(*key, latest[key], times, now, muted) for key, times in sorted(counted.items())]
    write_many(connection, _raising(connection.dialect.name), rows)


@lru_cache
def _raising(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(ALERTS)
    again = ALERTS.c.status == "resolved"
    changes = {
        "count": ALERTS.c.count + statement.excluded.count,
        "last_seen": statement.excluded.last_seen,
        "status": case((again, statement.excluded.status), else_=ALERTS.c.status),
        "notified": case((again, null()), else_=ALERTS.c.notified),
    }
    return statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=changes)


def _muted(connection: Connection) -> set[_Here]:
    rows = connection.execute(select(ALERT_MUTES.c.kind, ALERT_MUTES.c.endpoint_id, ALERT_MUTES.c.host))
    return {(kind, endpoint, host) for kind, endpoint, host in rows}


def _here(kind: str, endpoint: int | None, detail: Mapping[str, Any]) -> _Here:
    """The kind and where it happens: at its endpoint, or on a host where it has none."""
    return (kind, endpoint, None) if endpoint is not None else (kind, None, str(detail.get("host", "")))


def _row(kind: str, subject: str, alert: Alert, times: int, now: int, muted: set[_Here]) -> dict[str, Any]:
    return {
        "kind": kind,
        "subject": subject,
        "severity": alert.severity or severity_of(kind),
        "endpoint_id": alert.endpoint,
        "detail": json.dumps(alert.detail).replace("\\u0000", "\\ufffd"),
        "status": "ignored" if _here(kind, alert.endpoint, alert.detail) in muted else "open",
        "count": times,
        "first_seen": now,
        "last_seen": now,
        "attempts": 0,
    }


def set_alert_status(
    connection: Connection, ids: Sequence[int], status: str, who: str, until: int | None = None
) -> int:
    """Mark alerts as open, resolved, ignored or snoozed `until` a moment in ms; how many there were. Raises ValueError
    for another status, and for a snooze without an end that is still to come.
    """
    if status not in STATUSES:
        raise ValueError(f"an alert is {', '.join(STATUSES)}, not {status[:60]!r}")
    if (status == "snoozed") != (until is not None and until > time.time() * 1000):
        raise ValueError("an alert is snoozed until a moment that is to come, and only then has one")
    values = {"status": status, "snoozed_until": until}
    changed = connection.execute(update(ALERTS).where(ALERTS.c.id.in_(list(ids))).values(values)).rowcount
    note(connection, who, "alerts." + status, {"ids": list(ids), **({"until": until} if until else {})})
    return changed


def wake_alerts(connection: Connection, now: int) -> bool:
    """Open those again whose snooze is over; they are told again."""
    over = (ALERTS.c.status == "snoozed", ALERTS.c.snoozed_until <= now)
    values = {"status": "open", "snoozed_until": None, "notified": None, "attempts": 0}
    connection.execute(update(ALERTS).where(*over).values(values))
    return False


def assign_alert(connection: Connection, alert: int, assignee: str, who: str) -> bool:
    """Say who looks after an alert, nobody where it is empty; whether there is such an alert."""
    named = storable(assignee.strip(), _LONGEST_NAME)
    changed = connection.execute(update(ALERTS).where(ALERTS.c.id == alert).values(assignee=named or None)).rowcount
    if changed:
        note(connection, who, "alerts.assign", {"id": alert, "assignee": named})
    return bool(changed)


def comment_alert(connection: Connection, alert: int, text: str, who: str) -> bool:
    """Add to what is said of an alert; whether there is such an alert. Raises ValueError for no words or too many."""
    text = text.strip()
    if not 0 < len(text) <= _LONGEST_COMMENT:
        raise ValueError(f"a comment has 1 to {_LONGEST_COMMENT:,} characters, not {len(text):,}")
    if connection.execute(select(ALERTS.c.id).where(ALERTS.c.id == alert)).scalar() is None:
        return False
    row = {"alert_id": alert, "at": int(time.time() * 1000), "who": storable(who, _LONGEST_NAME), "text": text}
    connection.execute(insert(ALERT_COMMENTS), row)
    note(connection, who, "alerts.comment", {"id": alert})
    return True


def mute_kind(connection: Connection, alert: int, who: str) -> bool:
    """Ignore this alert and all of its kind at its endpoint, or on its host where it has none, from now on; whether
    there is such an alert.
    """
    row = connection.execute(select(ALERTS).where(ALERTS.c.id == alert)).one_or_none()
    if row is None:
        return False
    here = _here(row.kind, row.endpoint_id, json.loads(row.detail))
    named = dict(zip(("kind", "endpoint_id", "host"), here, strict=True))
    if here not in _muted(connection):
        connection.execute(
            insert(ALERT_MUTES), {**named, "who": storable(who, _LONGEST_NAME), "made": int(time.time() * 1000)}
        )
    at_endpoint = ALERTS.c.endpoint_id == row.endpoint_id if row.endpoint_id is not None else ALERTS.c.id == alert
    connection.execute(update(ALERTS).where(ALERTS.c.kind == row.kind, at_endpoint).values(status="ignored"))
    note(connection, who, "alerts.mute", named)
    return True


def unmute_kind(connection: Connection, mute: int, who: str) -> bool:
    """Raise alerts of a kind somewhere again; whether they were ignored."""
    removed = connection.execute(delete(ALERT_MUTES).where(ALERT_MUTES.c.id == mute)).rowcount
    if removed:
        note(connection, who, "alerts.unmute", {"id": mute})
    return bool(removed)
