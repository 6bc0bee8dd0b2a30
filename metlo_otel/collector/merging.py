"""Endpoints that turn out to be one: a path's segment with many values is a parameter that did not look like one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, func, literal, select, update

from metlo_otel.collector.database import insert_into
from metlo_otel.collector.endpoints import EndpointKey
from metlo_otel.collector.latencies import move_latencies
from metlo_otel.collector.schema import (
    ALERT_MUTES,
    ALERTS,
    ATTACKS,
    COUNTS,
    ENDPOINT_SERVICES,
    ENDPOINTS,
    FACTS,
    MINUTES,
    STATUSES,
    TRACES,
)
from metlo_otel.core.guessing import is_parameter, number_parameters

MANY = 50
"""Different values of one segment from which it is a parameter: more collections than an API has in one place."""

MANY_ITEMS = 12
"""The same, where the segment follows one that names a collection (`/users/…`)."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Endpoints, by id, that are one with this key."""

    key: EndpointKey
    ids: tuple[int, ...]


def find_merges(endpoints: Iterable[tuple[int, EndpointKey]]) -> list[Merge]:
    """What to make one of endpoints whose paths were guessed; each endpoint is in one merge at most."""
    groups: dict[tuple[EndpointKey, int], list[tuple[int, str]]] = defaultdict(list)
    for number, key in endpoints:
        segments = key.path.split("/")
        for at in _literals(segments):
            around = "/".join([*segments[:at], "{}", *segments[at + 1 :]])
            groups[EndpointKey(key.host, key.method, around, key.operation), at].append((number, segments[at]))
    taken: set[int] = set()
    merges = []
    for (key, at), members in sorted(groups.items(), key=lambda item: (item[0][1], -len(item[1]))):
        free = [number for number, _ in members if number not in taken]
        segments = key.path.split("/")
        if len(free) >= (MANY_ITEMS if _is_collection(segments[at - 1]) else MANY):
            taken.update(free)
            path = number_parameters(segments)
            merges.append(Merge(EndpointKey(key.host, key.method, path, key.operation), tuple(free)))
    return merges


def _literals(segments: list[str]) -> Iterator[int]:
    """The places of the segments that could be parameters."""
    for at in range(1, len(segments)):
        if segments[at] and not is_parameter(segments[at]):
            yield at


def _is_collection(segment: str) -> bool:
    return len(segment) > 2 and segment.endswith("s") and segment.isalpha()


def merge_endpoints(connection: Connection, target: int, others: Sequence[int]) -> None:
    """Everything of the endpoints `others` belongs to `target` from now on, and they are gone."""
    others = [number for number in others if number != target]
    if not others:
        return
    _add_counts(connection, target, others)
    _move(connection, STATUSES, target, others, ["status"], ["calls"])
    _move(connection, MINUTES, target, others, ["minute"], COUNTS)
    _move(connection, ENDPOINT_SERVICES, target, others, ["service", "environment", "language"], ["calls"])
    _move_facts(connection, target, others)
    move_latencies(connection, target, others)
    found_then = (ALERTS.c.endpoint_id.in_(others), ALERTS.c.kind == "new_endpoint")
    connection.execute(delete(ALERTS).where(*found_then))
    for table in (TRACES, ATTACKS, ALERTS, ALERT_MUTES):
        connection.execute(update(table).where(table.c.endpoint_id.in_(others)).values(endpoint_id=target))
    connection.execute(delete(ENDPOINTS).where(ENDPOINTS.c.id.in_(others)))


def _add_counts(connection: Connection, target: int, others: Sequence[int]) -> None:
    table = ENDPOINTS.c
    sums = [func.sum(table[name]).label(name) for name in COUNTS]
    more = connection.execute(
        select(func.min(table.first_seen).label("first"), func.max(table.last_seen).label("last"), *sums).where(
            table.id.in_([target, *others])
        )
    ).one()
    values = {name: getattr(more, name) for name in COUNTS}
    connection.execute(
        update(ENDPOINTS).where(table.id == target).values(first_seen=more.first, last_seen=more.last, **values)
    )


def _move(
    connection: Connection, table: Table, target: int, others: Sequence[int], keys: Sequence[str], add: Sequence[str]
) -> None:
    by = [table.c[name] for name in keys]
    rows = (
        select(literal(target), *by, *[func.sum(table.c[name]) for name in add])
        .where(table.c.endpoint_id.in_(others))
        .group_by(*by)
    )
    statement = insert_into(connection, table).from_select(["endpoint_id", *keys, *add], rows)
    sums = {name: table.c[name] + statement.excluded[name] for name in add}
    connection.execute(statement.on_conflict_do_update(index_elements=["endpoint_id", *keys], set_=sums))
    connection.execute(delete(table).where(table.c.endpoint_id.in_(others)))


def _move_facts(connection: Connection, target: int, others: Sequence[int]) -> None:
    table = FACTS.c
    by = [table.key, table.status, table.kind, table.name]
    rows = select(literal(target), *by, func.min(table.first_seen)).where(table.endpoint_id.in_(others)).group_by(*by)
    names = ["endpoint_id", *(column.name for column in by), "first_seen"]
    statement = insert_into(connection, FACTS).from_select(names, rows)
    connection.execute(statement.on_conflict_do_nothing())
    connection.execute(delete(FACTS).where(table.endpoint_id.in_(others)))
