"""The endpoints that are known, found for each trace; new ones are added up to a limit, and guesses corrected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from metlo_otel.collector.database import insert_new
from metlo_otel.collector.endpoints import (
    LONGEST_HOST,
    LONGEST_PATH,
    EndpointKey,
    Templates,
    fits,
    guess_template,
    is_template,
    other_endpoint,
    storable,
)
from metlo_otel.collector.merging import merge_endpoints
from metlo_otel.collector.schema import ENDPOINTS
from metlo_otel.collector.trace import Trace

MAX_ENDPOINTS = 10_000  # what comes to more is counted in one endpoint for each method

_REMEMBERED = 50_000  # places whose endpoint is remembered
_LONGEST_OPERATION = 255
_NOT_THERE = (404, 405)

_Place = tuple[str, str, str, bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Known:
    """An endpoint as the inventory remembers it."""

    id: int
    key: EndpointKey
    inferred: bool


class Inventory:
    """Finds the endpoints of traces; remembers what it has seen of the database."""

    def __init__(self, map_host: Callable[[str], str], limit: int = MAX_ENDPOINTS) -> None:
        self._map_host = map_host
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Believe nothing of what was remembered."""
        self._known: dict[EndpointKey, Known] = {}
        self._is_read = False
        self._templates = Templates()
        self._recent: dict[_Place, Known] = {}
        self.added: list[Known] = []

    def find(self, connection: Connection, trace: Trace, now: int) -> Known:
        """The endpoint of a trace; one that was not known yet is noted in `added` too."""
        place = (trace.host, trace.method, trace.route or trace.path, trace.route is None, trace.operations[:1])
        found = self._recent.get(place)
        if found is None:
            if not self._is_read:
                self._read(connection)
            found = self._find(connection, trace, now)
            if found.key.host != "*" and _is_short(place):
                self._remember(place, found)
        return found

    def keys(self) -> list[Known]:
        """All endpoints that are remembered."""
        return list(self._known.values())

    def _read(self, connection: Connection) -> None:
        self._is_read = True
        table = ENDPOINTS.c
        columns = (table.id, table.host, table.method, table.path, table.operation, table.inferred)
        for number, host, method, path, operation, inferred in connection.execute(select(*columns)):
            self._note(Known(number, EndpointKey(host, method, path, operation), inferred))

    def _note(self, endpoint: Known) -> None:
        self._known[endpoint.key] = endpoint
        self._templates.add(endpoint.key)

    def _remember(self, place: _Place, found: Known) -> None:
        if len(self._recent) >= _REMEMBERED:
            self._recent.clear()
        self._recent[place] = found

    def _find(self, connection: Connection, trace: Trace, now: int) -> Known:
        key, inferred = self._key(trace)
        found = self._known.get(key)
        if found is None and (len(self._known) >= self._limit or (inferred and trace.status in _NOT_THERE)):
            key, inferred = other_endpoint(trace.method), False
            found = self._known.get(key)
        if found is None:
            return self._add(connection, key, inferred, now)
        if found.inferred and not inferred:
            connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.id == found.id).values(inferred=False))
            found = Known(found.id, key, False)
            self._known[key] = found
        return found

    def _key(self, trace: Trace) -> tuple[EndpointKey, bool]:
        host = storable(self._map_host(trace.host.lower()), LONGEST_HOST)
        operation = storable(trace.operations[0], _LONGEST_OPERATION) if trace.operations else ""
        if is_template(trace.route) and trace.route:
            return EndpointKey(host, trace.method, storable(trace.route, LONGEST_PATH), operation), False
        path = storable(trace.path, LONGEST_PATH) or "/"
        literal = EndpointKey(host, trace.method, path, operation)
        if literal in self._known:
            return literal, True
        path = self._templates.find(host, trace.method, path) or storable(guess_template(path), LONGEST_PATH)
        return EndpointKey(host, trace.method, path, operation), True

    def _add(self, connection: Connection, key: EndpointKey, inferred: bool, now: int) -> Known:
        """Another collector process may have added it in the meantime."""
        found = Known(add_endpoint(connection, key, inferred, now), key, inferred)
        self._note(found)
        self.added.append(found)
        if not inferred and "{" in key.path:
            self._correct(connection, found)
        return found

    def _correct(self, connection: Connection, route: Known) -> None:
        """The framework told a route: what was guessed of its paths goes where it belongs."""
        guessed = [
            other
            for other in self.keys()
            if other.inferred and _same_but_path(other.key, route.key) and fits(route.key.path, other.key.path)
        ]
        if guessed:
            merge_endpoints(connection, route.id, [other.id for other in guessed])
            added = [known for known in self.added if known not in guessed]
            self.forget()
            self.added = added


def add_endpoint(connection: Connection, key: EndpointKey, inferred: bool, now: int) -> int:
    """The id of an endpoint, which is made where it is not there."""
    named = {"host": key.host, "method": key.method, "path": key.path, "operation": key.operation}
    row = {**named, "inferred": inferred, "risk": 0, "first_seen": now, "last_seen": now, "full_capture": False}
    insert_new(connection, ENDPOINTS, [row])
    number: int = connection.execute(select(ENDPOINTS.c.id).filter_by(**named)).scalar_one()
    return number


def _is_short(place: _Place) -> bool:
    """Whether a place is worth remembering: what strangers send decides its length."""
    host, _method, path, _, operations = place
    return len(host) <= LONGEST_HOST and len(path) <= LONGEST_PATH and len("".join(operations)) <= _LONGEST_OPERATION


def _same_but_path(one: EndpointKey, other: EndpointKey) -> bool:
    return (one.host, one.method, one.operation) == (other.host, other.method, other.operation)
