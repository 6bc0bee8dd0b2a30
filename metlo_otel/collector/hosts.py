"""Hosts: which are one's own, which are not, and of which nobody has said so. Whoever calls an app decides on the Host
header, so that hosts appear which nobody serves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import changed
from metlo_otel.collector.database import insert_into
from metlo_otel.collector.endpoints import LONGEST_HOST, other_endpoint
from metlo_otel.collector.inventory import add_endpoint
from metlo_otel.collector.merging import merge_endpoints
from metlo_otel.collector.schema import ENDPOINTS
from metlo_otel.collector.schema_people import HOSTS

_SLICE = 500  # endpoints that are counted elsewhere in one go


def list_hosts(connection: Connection) -> list[dict[str, Any]]:
    """All hosts, with whether they are `own` (None: nobody said), and how much there is of them: those of which nobody
    said anything first, of each kind those that are called most.
    """
    table = ENDPOINTS.c
    seen = (
        select(
            table.host,
            func.count().label("endpoints"),
            func.sum(table.calls).label("calls"),
            func.min(table.first_seen).label("first"),
            func.max(table.last_seen).label("last"),
        )
        .where(table.host != "*")
        .group_by(table.host)
    )
    said = {row.host: bool(row.own) for row in connection.execute(select(HOSTS.c.host, HOSTS.c.own))}
    found = [
        {
            "host": row.host,
            "own": said.get(row.host),
            "endpoints": row.endpoints,
            "calls": int(row.calls),
            "firstSeen": row.first,
            "lastSeen": row.last,
        }
        for row in connection.execute(seen)
    ]
    known = {item["host"] for item in found}
    gone = {"endpoints": 0, "calls": 0, "firstSeen": None, "lastSeen": None}
    found += [{"host": host, "own": own, **gone} for host, own in said.items() if host not in known]
    order = {None: 0, True: 1, False: 2}
    return sorted(found, key=lambda item: (order[item["own"]], -item["calls"], item["host"]))


def count_unsaid(connection: Connection) -> int:
    """How many hosts there are of which nobody said whether they are theirs."""
    said = select(HOSTS.c.host)
    rows = select(func.count(ENDPOINTS.c.host.distinct())).where(ENDPOINTS.c.host != "*", ENDPOINTS.c.host.not_in(said))
    return connection.execute(rows).scalar_one()


def foreign_hosts(connection: Connection) -> frozenset[str]:
    """The hosts that people said not to be theirs."""
    return frozenset(connection.execute(select(HOSTS.c.host).where(~HOSTS.c.own)).scalars())


def mark_hosts(connection: Connection, hosts: Sequence[str], own: bool, who: str) -> int:
    """Say of hosts whether they are one's own; how many there were. The endpoints of one that is not are counted with
    the calls that belong to nothing, from now on too.
    """
    named = sorted({host for host in hosts if 0 < len(host) <= LONGEST_HOST and "\0" not in host and host != "*"})
    if not named:
        return 0
    now = int(time.time() * 1000)
    statement = insert_into(connection, HOSTS)
    changes = {"own": statement.excluded.own, "changed": statement.excluded.changed}
    statement = statement.on_conflict_do_update(index_elements=["host"], set_=changes)
    connection.execute(statement, [{"host": host, "own": own, "changed": now} for host in named])
    if not own:
        _count_elsewhere(connection, named, now)
    note(connection, who, "hosts.own" if own else "hosts.foreign", {"hosts": named[:50], "number": len(named)})
    changed(connection)
    return len(named)


def _count_elsewhere(connection: Connection, hosts: Sequence[str], now: int) -> None:
    by_method: dict[str, list[int]] = {}
    for start in range(0, len(hosts), _SLICE):
        some = ENDPOINTS.c.host.in_(hosts[start : start + _SLICE])
        for number, method in connection.execute(select(ENDPOINTS.c.id, ENDPOINTS.c.method).where(some)):
            by_method.setdefault(method, []).append(number)
    for method, numbers in sorted(by_method.items()):
        target = add_endpoint(connection, other_endpoint(method), False, now)
        for start in range(0, len(numbers), _SLICE):
            merge_endpoints(connection, target, numbers[start : start + _SLICE])
