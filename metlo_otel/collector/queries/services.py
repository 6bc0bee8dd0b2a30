"""Reading services: what each answers, and who calls whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, exists, func, select

from metlo_otel.collector.queries.filters import Filter, Filters, Page, ask, fetch, number, page_by_offset, string
from metlo_otel.collector.queries.language import with_language
from metlo_otel.collector.schema import ENDPOINT_SERVICES, ENDPOINTS, SERVICE_CALLS

MOST_SHOWN = 500  # calls of services on one map

_TABLE = ENDPOINT_SERVICES.c


def _at(condition: Any) -> Any:
    """Those at endpoints of which a condition holds."""
    return _TABLE.endpoint_id.in_(select(ENDPOINTS.c.id).where(condition))


SERVICE_FILTERS: Filters = with_language(
    {
        "service": Filter(string, lambda value: _TABLE.service.icontains(value, autoescape=True), _TABLE.service),
        "environment": Filter(string, lambda value: _TABLE.environment == value, _TABLE.environment),
        "language": Filter(string, lambda value: _TABLE.language == value, _TABLE.language),
        "since": Filter(number, lambda value: _at(ENDPOINTS.c.last_seen >= value)),
        "until": Filter(number, lambda value: _at(ENDPOINTS.c.first_seen < value)),
    },
    bare="service",
)


def served_by(endpoint: Any) -> Filter:
    """A filter for the name of a service that answers at an `endpoint`, the column that names it."""
    return Filter(string, lambda value: exists().where(_TABLE.endpoint_id == endpoint, _TABLE.service == value))


def deployed_in(endpoint: Any) -> Filter:
    """The same for an environment of such a service."""
    return Filter(string, lambda value: exists().where(_TABLE.endpoint_id == endpoint, _TABLE.environment == value))


def known_names(connection: Connection, dimension: str) -> list[str]:
    """The hosts, services or environments that there are; `dimension` is host, service or environment."""
    column = {"host": ENDPOINTS.c.host, "service": _TABLE.service, "environment": _TABLE.environment}[dimension]
    return list(connection.execute(select(column).where(column != "").distinct().order_by(column)).scalars())


def find_services(connection: Connection, parameters: Mapping[str, str]) -> Page:
    """Services by environment and language, those with most calls first; the next page is `offset`. Raises
    FilterError.
    """
    question = ask(parameters, SERVICE_FILTERS, ("calls",))
    calls = func.sum(_TABLE.calls)
    columns = (_TABLE.service, _TABLE.environment, _TABLE.language)
    counted = select(*columns, func.count(_TABLE.endpoint_id.distinct()).label("endpoints"), calls.label("calls"))
    wanted = counted.group_by(*columns).order_by(calls.desc(), *columns)
    found, total = fetch(connection, wanted, question)
    items = [
        {
            "service": row.service,
            "environment": row.environment or None,
            "language": row.language or None,
            "endpoints": row.endpoints,
            "calls": int(row.calls),
        }
        for row in found
    ]
    return page_by_offset(items, question, total)


def services_of(connection: Connection, endpoints: Sequence[int]) -> dict[int, list[str]]:
    """By endpoint: the names of the services that answered there."""
    rows = select(_TABLE.endpoint_id, _TABLE.service).where(_TABLE.endpoint_id.in_(endpoints)).distinct()
    found: dict[int, list[str]] = defaultdict(list)
    for endpoint, service in connection.execute(rows.order_by(_TABLE.service)):
        found[endpoint].append(service)
    return found


def service_calls(connection: Connection) -> list[dict[str, Any]]:
    """Who called whom, the most calls first: `{"caller", "callee", "kind", "calls", "errors", "lastSeen"}`. A host
    that was called stands for the service that answers there, where one is known (`kind` is service), else for
    itself (`host`, where the inventory has it, or `elsewhere`).
    """
    table = SERVICE_CALLS.c
    rows = connection.execute(select(SERVICE_CALLS).order_by(table.calls.desc(), table.caller).limit(MOST_SHOWN)).all()
    names = set(connection.execute(select(_TABLE.service).distinct()).scalars()) | {row.caller for row in rows}
    hosts = _services_at(connection, [row.callee for row in rows])
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        service = row.callee if row.callee in names else hosts.get(row.callee)
        callee = service or row.callee
        kind = "service" if service else "host" if row.callee in hosts else "elsewhere"
        each = found.setdefault(
            (row.caller, callee),
            {"caller": row.caller, "callee": callee, "kind": kind, "calls": 0, "errors": 0, "lastSeen": 0},
        )
        each["calls"] += row.calls
        each["errors"] += row.errors
        each["lastSeen"] = max(each["lastSeen"], row.last_seen)
    return sorted(found.values(), key=lambda each: (-each["calls"], each["caller"], each["callee"]))


def _services_at(connection: Connection, hosts: Sequence[str]) -> dict[str, str | None]:
    """By host, of those that the inventory has: the service with most calls there, if one is known."""
    joined = ENDPOINTS.outerjoin(ENDPOINT_SERVICES, _TABLE.endpoint_id == ENDPOINTS.c.id)
    calls = func.coalesce(func.sum(_TABLE.calls), 0)
    rows = select(ENDPOINTS.c.host, _TABLE.service).select_from(joined).where(ENDPOINTS.c.host.in_(hosts))
    grouped = rows.group_by(ENDPOINTS.c.host, _TABLE.service).order_by(_TABLE.service.is_(None).desc(), calls)
    return {row.host: row.service for row in connection.execute(grouped)}
