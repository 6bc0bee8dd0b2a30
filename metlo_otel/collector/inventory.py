"""The endpoints that are known, found for each trace; new ones are added up to a limit, and guesses corrected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection, exists, select, update

from metlo_otel.collector.database import insert_new
from metlo_otel.collector.endpoints import (
    LONGEST_HOST,
    LONGEST_PATH,
    EndpointKey,
    Templates,
    is_template,
    other_endpoint,
    storable,
)
from metlo_otel.collector.merging import merge_endpoints
from metlo_otel.collector.schema import ENDPOINTS, STATUSES
from metlo_otel.collector.schema_people import HOSTS
from metlo_otel.core.guessing import guess_template
from metlo_otel.core.routes import fits

MAX_ENDPOINTS = 10_000  # what comes to more is counted in one endpoint for each method

_REMEMBERED = 50_000  # places whose endpoint is remembered
_LONGEST_OPERATION = 255
_NOT_THERE = (404, 405)
_FULL_FOR = 60_000  # milliseconds for which nothing is looked for that could go

_Place = tuple[str, str, str, bool, tuple[str, ...]]


class Call(Protocol):
    """What an endpoint is found by: a trace, or the names of many calls that were summed up. `path` is empty where no
    endpoint of its own is to be found, nor a `route`.
    """

    @property
    def host(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def route(self) -> str | None: ...
    @property
    def path(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def operations(self) -> tuple[str, ...]: ...


C = TypeVar("C", bound=Call)


@dataclass(frozen=True, slots=True)
class Known:
    """An endpoint as the inventory remembers it."""

    id: int
    key: EndpointKey
    inferred: bool


class Inventory:
    """Finds the endpoints of calls; remembers what it has seen of the database."""

    def __init__(self, map_host: Callable[[str], str], limit: int = MAX_ENDPOINTS) -> None:
        """`map_host` says under which name a host is known, `*` for one that is somebody else's."""
        self._map_host = map_host
        self._limit = limit
        self._is_settled = False
        self.forget()

    def forget(self) -> None:
        """Believe nothing of what was remembered."""
        self._known: dict[EndpointKey, Known] = {}
        self._is_read = False
        self._templates = Templates()
        self._recent: dict[_Place, Known] = {}
        self.added: list[Known] = []
        self.evicted = False
        self._full_until: dict[int, int] = {}

    def place(self, connection: Connection, calls: Sequence[C], now: int) -> list[tuple[Known, C]]:
        """All calls, each with its endpoint."""
        placed = [(self.find(connection, call, now), call) for call in calls]
        if self.evicted or any("{" in endpoint.key.path for endpoint in self.added):
            self._is_settled = True  # some of them may have been counted with others meanwhile, or guesses corrected
            placed = [(self.find(connection, call, now), call) for call in calls]
            self._is_settled = False
        return placed

    def find(self, connection: Connection, call: Call, now: int) -> Known:
        """The endpoint of a call; one that was not known yet is noted in `added` too."""
        place = (call.host, call.method, call.route or call.path, call.route is None, call.operations[:1])
        found = self._recent.get(place)
        if found is None:
            if not self._is_read:
                self._read(connection)
            found = self._find(connection, call, now)
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

    def _find(self, connection: Connection, call: Call, now: int) -> Known:
        key, inferred = self._key(call)
        found = self._known.get(key)
        if found is None and key.host != "*" and not self._may_be_new(connection, call, inferred, now):
            key, inferred = other_endpoint(call.method), False
            found = self._known.get(key)
        if found is None:
            return self._add(connection, key, inferred, now)
        if found.inferred and not inferred:
            connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.id == found.id).values(inferred=False))
            found = Known(found.id, key, False)
            self._known[key] = found
        return found

    def _key(self, call: Call) -> tuple[EndpointKey, bool]:
        host = storable(self._map_host(call.host.lower()), LONGEST_HOST)
        if host == "*":
            return other_endpoint(call.method), False
        operation = storable(call.operations[0], _LONGEST_OPERATION) if call.operations else ""
        if is_template(call.route) and call.route:
            return EndpointKey(host, call.method, storable(call.route, LONGEST_PATH), operation), False
        if not call.path:
            return other_endpoint(call.method), False
        path = storable(call.path, LONGEST_PATH)
        literal = EndpointKey(host, call.method, path, operation)
        if literal in self._known:
            return literal, True
        path = self._templates.find(host, call.method, path) or storable(guess_template(path), LONGEST_PATH)
        return EndpointKey(host, call.method, path, operation), True

    def _may_be_new(self, connection: Connection, call: Call, inferred: bool, now: int) -> bool:
        """Whether an endpoint may be added; where there are as many as there may be, less valuable ones make room."""
        if inferred and call.status in _NOT_THERE:
            return False
        if len(self._known) < self._limit:
            return True
        worth = _worth(call)
        if not worth or self._is_settled or now < self._full_until.get(worth, 0):
            return False
        if not evict(connection, worth, max(self._limit // 20, 1), now):
            self._full_until[worth] = now + _FULL_FOR
            return False
        added = self.added
        self.forget()
        self.added, self.evicted = added, True
        self._read(connection)
        return True

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


def _worth(call: Call) -> int:
    """0 for what a client may have invented, 1 for a path that was answered, 2 for a route of the app."""
    return 2 if is_template(call.route) else int(call.status < 400)


def evict(connection: Connection, worth: int, most: int, now: int) -> bool:
    """Count at most `most` endpoints that are worth less than `worth` with the other calls of their method from now on:
    those that were not seen for longest, guesses that were never answered below 400 first. Where there are none, routes
    make room for a route: those that were called least, of hosts that nobody said to be their own. Whether there were
    any.
    """
    table, statuses = ENDPOINTS.c, STATUSES.c
    answered = exists().where(statuses.endpoint_id == table.id, statuses.status < 400)
    guessed = select(table.id, table.method).where(table.inferred, ~table.full_capture, table.last_seen < now)
    if worth < 2:
        guessed = guessed.where(~answered)
    found = connection.execute(guessed.order_by(answered, table.last_seen, table.id).limit(most)).all()
    if not found and worth == 2:
        own = exists().where(HOSTS.c.host == table.host, HOSTS.c.own)
        routes = select(table.id, table.method).where(
            ~own, ~table.full_capture, table.last_seen < now, table.host != "*"
        )
        found = connection.execute(routes.order_by(table.calls, table.last_seen, table.id).limit(most)).all()
    by_method: dict[str, list[int]] = {}
    for number, method in found:
        by_method.setdefault(method, []).append(number)
    for method, numbers in by_method.items():
        merge_endpoints(connection, add_endpoint(connection, other_endpoint(method), False, now), numbers)
    return bool(by_method)


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
