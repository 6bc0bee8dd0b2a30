"""Telling alerts: a line in the log, and to each destination what its rules ask for, once.

Each destination has a queue of its own. What one does not take is tried again, after longer and longer, for three days;
the others do not hear of it a second time.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, insert, select, update

from metlo_otel.collector.database import insert_into
from metlo_otel.collector.destinations import Destination, list_destinations
from metlo_otel.collector.schema import ALERTS
from metlo_otel.collector.schema_telling import DELIVERIES, DESTINATIONS, SENDINGS
from metlo_otel.collector.sending import send

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector.alerts")

WAITING, TOLD, GIVEN_UP = "waiting", "told", "given_up"
WAITS = (
    10,
    30,
    60,
    300,
    900,
    1800,
    3600,
    7200,
    14_400,
)  # seconds after so many failures; then the last again and again
GIVE_UP = 3 * 24 * 3600  # seconds after which an alert is old news
_AT_ONCE = 50  # alerts told in one go
_ALONE_FROM = 3  # attempts after which an alert is told alone: others must not suffer from one that is refused
_IN_A_ROW = 20  # times that a destination that takes things is sent something, before others have their turn
_LEASE = 60  # seconds for which a destination is one process's


@dataclass(frozen=True, slots=True)
class Batch:
    """What to tell a destination now: alerts and their deliveries' ids."""

    destination: Destination
    alerts: Sequence[dict[str, Any]]
    deliveries: Sequence[int]


class Notifier:
    """Hands out new alerts and sends what is due; `clock` tells seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def tell(self, store: Store) -> int:
        """Tell what is new or due; how many alerts were new."""
        new: list[dict[str, Any]] = []
        if store.read(partial(_new, limit=1)):
            new = store.change(partial(_hand_out, now=self._now())).result()
        for alert in new:
            level = logging.INFO if alert["severity"] == "low" else logging.WARNING
            LOG.log(level, "alert: %s", json.dumps({name: alert[name] for name in ("kind", "severity", "detail")}))
        for number in store.read(partial(_due, now=self._now())):
            self._serve(store, number)
        return len(new)

    def _serve(self, store: Store, number: int) -> None:
        for _ in range(_IN_A_ROW):
            batch = store.change(partial(_claim, number=number, now=self._now(), public=store.public)).result()
            if batch is None:
                return
            began = time.monotonic()
            problem = send(batch.destination, batch.alerts)
            took = int((time.monotonic() - began) * 1000)
            store.change(partial(_settle, batch=batch, problem=problem, took=took, now=self._now())).result()
            if problem is not None:
                LOG.warning("%s could not be told of alerts: %s; this is tried again", batch.destination.name, problem)
                return

    def _now(self) -> int:
        return int(self._clock() * 1000)


def try_out(store: Store, number: int) -> tuple[str, str | None]:
    """Send a destination a message that says that it is a test; its name and what went wrong. Raises LookupError."""
    found = [each for each in store.read(list_destinations) if each.id == number]
    if not found:
        raise LookupError("there is no such destination")
    began = time.monotonic()
    problem = send(found[0], [], test=True)
    took = int((time.monotonic() - began) * 1000)
    row = {"at": int(time.time() * 1000), "destination_id": number, "alerts": 0, "problem": problem, "took": took}
    store.change(lambda connection: connection.execute(insert(SENDINGS), row).rowcount).result()
    return found[0].name, problem


def list_sendings(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """The delivery log, newest first."""
    table = SENDINGS.c
    rows = select(table.at, DESTINATIONS.c.name, table.alerts, table.problem, table.took)
    rows = rows.join(DESTINATIONS, DESTINATIONS.c.id == table.destination_id).order_by(table.id.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(rows)]


def count_waiting(connection: Connection) -> dict[int, int]:
    """How many alerts each destination is still to be told of."""
    rows = select(DELIVERIES.c.destination_id, func.count()).where(DELIVERIES.c.state == WAITING)
    return {row[0]: row[1] for row in connection.execute(rows.group_by(DELIVERIES.c.destination_id))}


def deliveries_of(connection: Connection, alert: int) -> list[dict[str, Any]]:
    """Who was told of an alert, or is to be."""
    table = DELIVERIES.c
    rows = select(DESTINATIONS.c.name, table.state, table.attempts, table.changed).where(table.alert_id == alert)
    rows = rows.join(DESTINATIONS, DESTINATIONS.c.id == table.destination_id).order_by(DESTINATIONS.c.name)
    return [dict(row._mapping) for row in connection.execute(rows)]


def _new(connection: Connection, limit: int = _AT_ONCE) -> list[dict[str, Any]]:
    table = ALERTS.c
    rows = select(ALERTS).where(table.notified.is_(None), table.status == "open").order_by(table.id).limit(limit)
    return [_alert(row) for row in connection.execute(rows)]


def _alert(row: Any) -> dict[str, Any]:
    names = ("id", "kind", "severity", "count")
    told = {name: getattr(row, name) for name in names}
    return {**told, "firstSeen": row.first_seen, "detail": json.loads(row.detail)}


def _hand_out(connection: Connection, now: int) -> list[dict[str, Any]]:
    """Put new alerts into the queues of those who want them. One that opened again is told again."""
    alerts = _new(connection)
    wanting = [each for each in list_destinations(connection) if each.enabled]
    statement = insert_into(connection, DELIVERIES)
    again = {name: statement.excluded[name] for name in ("state", "attempts", "made", "changed")}
    statement = statement.on_conflict_do_update(index_elements=["destination_id", "alert_id"], set_=again)
    for alert in alerts:
        connection.execute(update(ALERTS).where(ALERTS.c.id == alert["id"]).values(notified=now))
        for each in wanting:
            if each.rules.want(alert):
                row = {"destination_id": each.id, "alert_id": alert["id"], "state": WAITING, "attempts": 0}
                connection.execute(statement, {**row, "made": now, "changed": now})
    return alerts


def _due(connection: Connection, now: int) -> list[int]:
    waiting = select(DELIVERIES.c.destination_id).where(DELIVERIES.c.state == WAITING)
    table = DESTINATIONS.c
    rows = select(table.id).where(table.enabled, table.next_try <= now, table.id.in_(waiting)).order_by(table.next_try)
    return list(connection.execute(rows).scalars())


def _claim(connection: Connection, number: int, now: int, public: str) -> Batch | None:
    """What a destination is told now; for a while it is this process's alone. What nobody needs to look at any more is
    not told.
    """
    table = DELIVERIES.c
    closed = select(ALERTS.c.id).where(ALERTS.c.status != "open")
    here = (table.destination_id == number, table.state == WAITING)
    connection.execute(delete(DELIVERIES).where(*here, table.alert_id.in_(closed)))
    rows = select(ALERTS, table.id.label("delivery"), table.attempts.label("tried"))
    rows = rows.join(DELIVERIES, table.alert_id == ALERTS.c.id).where(*here).order_by(table.attempts, table.id)
    found = connection.execute(rows.limit(_AT_ONCE)).all()
    free = update(DESTINATIONS).where(
        DESTINATIONS.c.id == number, DESTINATIONS.c.enabled, DESTINATIONS.c.next_try <= now
    )
    if not found or not connection.execute(free.values(next_try=now + _LEASE * 1000)).rowcount:
        return None
    found = [row for row in found if row.tried < _ALONE_FROM] or found[:1]
    alerts = [{**_alert(row), "url": f"{public}/dashboard/alerts/{row.id}"} for row in found]
    (destination,) = (each for each in list_destinations(connection) if each.id == number)
    return Batch(destination, alerts, [row.delivery for row in found])


def _settle(connection: Connection, batch: Batch, problem: str | None, took: int, now: int) -> None:
    """Note how it went: in the log, of each alert, and when the destination is tried again."""
    number, failures = batch.destination.id, batch.destination.failures + 1
    row = {"at": now, "destination_id": number, "alerts": len(batch.alerts), "took": took}
    known = select(DESTINATIONS.c.id).where(DESTINATIONS.c.id == number)
    if connection.execute(known).scalar() is None:  # removed in the meantime
        return
    connection.execute(insert(SENDINGS), {**row, "problem": problem[:255] if problem else None})
    these = update(DELIVERIES).where(DELIVERIES.c.id.in_(batch.deliveries))
    place = update(DESTINATIONS).where(DESTINATIONS.c.id == number)
    if problem is None:
        connection.execute(these.values(state=TOLD, attempts=DELIVERIES.c.attempts + 1, changed=now))
        connection.execute(place.values(failures=0, next_try=0))
        return
    connection.execute(these.values(attempts=DELIVERIES.c.attempts + 1, changed=now))
    old = (
        DELIVERIES.c.destination_id == number,
        DELIVERIES.c.state == WAITING,
        DELIVERIES.c.made < now - GIVE_UP * 1000,
    )
    connection.execute(update(DELIVERIES).where(*old).values(state=GIVEN_UP, changed=now))
    wait = WAITS[min(failures, len(WAITS)) - 1]
    connection.execute(place.values(failures=failures, next_try=now + wait * 1000))
