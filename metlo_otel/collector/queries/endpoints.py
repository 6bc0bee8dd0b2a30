"""Reading the inventory: endpoints, their fields, and how they were called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, select

from metlo_otel.collector.facts import read_facts
from metlo_otel.collector.latencies import unpack
from metlo_otel.collector.learnt import Fact
from metlo_otel.collector.queries.filters import (
    Filter,
    Filters,
    Page,
    ask,
    boolean,
    fetch,
    number,
    page,
    page_by_offset,
    string,
    took,
)
from metlo_otel.collector.queries.language import with_language
from metlo_otel.collector.queries.latencies import percentiles
from metlo_otel.collector.queries.services import deployed_in, served_by, services_of
from metlo_otel.collector.schema import COUNTS, ENDPOINTS, FACTS, STATUSES, TRACES
from metlo_otel.core.record import METHODS

SORTS = ("id", "risk", "calls", "errors", "attacks", "p95", "seen", "path")

_TABLE = ENDPOINTS.c
_ORDERS: dict[str, list[Any]] = {
    "id": [_TABLE.id],
    "risk": [_TABLE.risk.desc(), _TABLE.calls.desc(), _TABLE.id],
    "calls": [_TABLE.calls.desc(), _TABLE.id],
    "errors": [(_TABLE.client_errors + _TABLE.server_errors).desc(), _TABLE.id],
    "attacks": [_TABLE.attacks.desc(), _TABLE.id],
    "p95": [_TABLE.p95.desc(), _TABLE.id],
    "seen": [_TABLE.last_seen.desc(), _TABLE.id],
    "path": [_TABLE.host, _TABLE.path, _TABLE.method, _TABLE.operation],
}


def _has_fact(kind: str, name: str) -> Any:
    return exists().where(and_(FACTS.c.endpoint_id == _TABLE.id, FACTS.c.kind == kind, FACTS.c.name == name))


_FLAGS = ("public", "open", "authenticated", "basic", "http", "https", "attacked")
ENDPOINT_FILTERS: Filters = with_language(
    {
        "host": Filter(string, lambda value: _TABLE.host == value.lower(), _TABLE.host),
        "method": Filter(string, lambda value: _TABLE.method == value.upper(), values=tuple(sorted(METHODS))),
        "path": Filter(string, lambda value: _TABLE.path.icontains(value, autoescape=True), _TABLE.path, ("/api/*",)),
        "operation": Filter(string, lambda value: _TABLE.operation == value, _TABLE.operation),
        "class": Filter(string, lambda value: _has_fact("class", value)),
        "service": served_by(_TABLE.id),
        "environment": deployed_in(_TABLE.id),
        "flag": Filter(string, lambda value: _has_fact("flag", value), values=_FLAGS),
        "risk": Filter(number, lambda value: _TABLE.risk >= value, values=("30", "60")),
        "p95": Filter(took, lambda value: _TABLE.p95.between(*value), values=(">100ms", ">500ms", ">2s")),
        "inferred": Filter(boolean, lambda value: _TABLE.inferred == value, values=("true", "false")),
        "since": Filter(number, lambda value: _TABLE.last_seen >= value),
        "until": Filter(number, lambda value: _TABLE.first_seen < value),
        "new": Filter(number, lambda value: _TABLE.first_seen >= value),
        "after": Filter(number, lambda value: _TABLE.id > value),
    },
    bare="path",
)


def find_endpoints(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Endpoints with their counts and classes of data. `sort` is id (whose next page is `after`), risk, calls, errors,
    attacks, p95, seen or path (whose next page is `offset`). Raises FilterError.
    """
    question = ask(parameters, ENDPOINT_FILTERS, SORTS)
    found, total = fetch(connection, select(ENDPOINTS).order_by(*_ORDERS[question.sort]), question)
    numbers = [row.id for row in found]
    statuses, names, kept = _statuses(connection, numbers), _names(connection, numbers), _kept(connection, numbers)
    services = services_of(connection, numbers)
    items = [
        _endpoint(row, statuses.get(row.id, {}), names.get(row.id, {}), kept.get(row.id, 0), services[row.id])
        for row in found
    ]
    return (page if question.sort == "id" else page_by_offset)(items, question, total)


def read_endpoint(connection: Connection, endpoint: int) -> dict[str, Any] | None:
    """One endpoint with its fields; None where there is none."""
    row = connection.execute(select(ENDPOINTS).where(_TABLE.id == endpoint)).one_or_none()
    if row is None:
        return None
    statuses, names = _statuses(connection, [endpoint]).get(endpoint, {}), _names(connection, [endpoint])[endpoint]
    kept, services = _kept(connection, [endpoint]).get(endpoint, 0), services_of(connection, [endpoint])[endpoint]
    found = _endpoint(row, statuses, names, kept, services)
    return {**found, "fields": fields_of(read_facts(connection, endpoint))}


def fields_of(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Fields by key and status (0: the request's): their types and classes, and whether they may be absent."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for fact in facts:
        if fact.kind in ("type", "class", "absent"):
            empty: dict[str, Any] = {
                "key": fact.key,
                "status": fact.status,
                "types": [],
                "classes": [],
                "absent": False,
            }
            field = found.setdefault((fact.key, fact.status), empty)
            if fact.kind == "absent":
                field["absent"] = True
            else:
                field[fact.kind + ("s" if fact.kind == "type" else "es")].append(fact.name)
    return list(found.values())


def list_hosts(connection: Connection) -> list[dict[str, Any]]:
    """All hosts with how many endpoints they have and how often they were called, by name."""
    sums = [func.sum(_TABLE[name]).label(name) for name in COUNTS]
    rows = select(_TABLE.host, func.count().label("endpoints"), func.max(_TABLE.risk).label("risk"), *sums)
    names = ("host", "endpoints", "risk", *COUNTS)
    grouped = rows.where(_TABLE.host != "*").group_by(_TABLE.host).order_by(_TABLE.host)
    return [dict(zip(names, (row[0], *map(int, row[1:])), strict=True)) for row in connection.execute(grouped)]


def list_classes(connection: Connection) -> list[dict[str, Any]]:
    """The classes of data that were found, with how many endpoints handle each, most first."""
    counted = func.count(FACTS.c.endpoint_id.distinct())
    rows = select(FACTS.c.name, counted).where(FACTS.c.kind == "class").group_by(FACTS.c.name)
    return [
        {"class": name, "endpoints": n} for name, n in connection.execute(rows.order_by(counted.desc(), FACTS.c.name))
    ]


def _statuses(connection: Connection, endpoints: Sequence[int]) -> dict[int, dict[str, int]]:
    rows = connection.execute(select(STATUSES).where(STATUSES.c.endpoint_id.in_(endpoints)).order_by(STATUSES.c.status))
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.endpoint_id, {})[str(row.status)] = row.calls
    return found


def _names(connection: Connection, endpoints: Sequence[int]) -> dict[int, dict[str, list[str]]]:
    """The classes and flags of endpoints."""
    table = FACTS.c
    wanted = (table.endpoint_id.in_(endpoints), table.kind.in_(("class", "flag")))
    rows = connection.execute(select(table.endpoint_id, table.kind, table.name).where(*wanted).distinct())
    found: dict[int, dict[str, list[str]]] = {endpoint: {"class": [], "flag": []} for endpoint in endpoints}
    for endpoint, kind, name in sorted(rows):
        found[endpoint][kind].append(name)
    return found


def _kept(connection: Connection, endpoints: Sequence[int]) -> dict[int, int]:
    """How many traces of endpoints are kept."""
    counted = select(TRACES.c.endpoint_id, func.count()).where(TRACES.c.endpoint_id.in_(endpoints))
    return {row[0]: row[1] for row in connection.execute(counted.group_by(TRACES.c.endpoint_id))}


def _endpoint(
    row: Row[Any],
    statuses: Mapping[str, int],
    names: Mapping[str, list[str]],
    kept: int,
    services: Sequence[str],
) -> dict[str, Any]:
    return {
        "id": row.id,
        "host": row.host,
        "method": row.method,
        "path": row.path,
        "operation": row.operation or None,
        "inferred": row.inferred,
        "calls": row.calls,
        "clientErrors": row.client_errors,
        "serverErrors": row.server_errors,
        "attacks": row.attacks,
        "blocked": row.blocked,
        "risk": row.risk,
        "classes": names.get("class", []),
        "flags": names.get("flag", []),
        "statuses": statuses,
        "services": services,
        "traces": kept,
        "latency": percentiles(unpack(row.latency)),
        "sizes": _sizes(row),
        "firstSeen": row.first_seen,
        "lastSeen": row.last_seen,
        "fullTraceCaptureEnabled": row.full_capture,
    }


def _sizes(row: Row[Any]) -> dict[str, int] | None:
    """Bytes of bodies in all, and of how many calls they are known; None where of none."""
    if not row.summed:
        return None
    return {"requestBytes": row.request_bytes, "responseBytes": row.response_bytes, "calls": row.summed}
