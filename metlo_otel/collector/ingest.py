"""Writing traces: the endpoint they belong to, what is counted of it, and the latest of them whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from metlo_otel.collector.database import add_up, insert_new
from metlo_otel.collector.endpoints import LONGEST_PATH, EndpointKey, find_endpoint, other_endpoint, storable
from metlo_otel.collector.schema import ENDPOINTS, MINUTES, STATUSES, TRACES
from metlo_otel.collector.trace import Trace

MAX_ENDPOINTS = 10_000  # what comes to more is counted in one endpoint for each method
KEPT = 100  # latest traces of each endpoint

_SLACK = 50  # traces over KEPT after which the oldest are deleted
_COUNTS = ("calls", "client_errors", "server_errors", "attacks", "blocked")

_SEEN = (
    update(ENDPOINTS)
    .where(ENDPOINTS.c.id == bindparam("endpoint"))
    .values(
        calls=ENDPOINTS.c.calls + bindparam("more"),
        last_seen=case((ENDPOINTS.c.last_seen < bindparam("seen"), bindparam("seen")), else_=ENDPOINTS.c.last_seen),
    )
)


class Ingest:
    """Writes traces; lives on the writer's thread and remembers what it has seen of the database."""

    def __init__(self, kept: int = KEPT, max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._kept = kept
        self._max_endpoints = max_endpoints
        self.forget()

    def forget(self) -> None:
        """Believe nothing of what was remembered: a transaction was rolled back."""
        self._ids: dict[EndpointKey, int] | None = None
        self._since_trim: Counter[int] = Counter()

    def write(self, connection: Connection, traces: Sequence[Trace], now: int) -> None:
        """Write `traces`, received at `now` (milliseconds since the epoch)."""
        found = [(self._endpoint(connection, trace, now), trace) for trace in traces]
        _count(connection, found, now)
        rows = [_row(endpoint, trace, now) for endpoint, trace in found if is_kept(trace)]
        if rows:
            connection.execute(insert(TRACES), rows)
        self._trim(connection, Counter(row["endpoint_id"] for row in rows))

    def _endpoint(self, connection: Connection, trace: Trace, now: int) -> int:
        ids = self._ids = _all_ids(connection) if self._ids is None else self._ids
        key = find_endpoint(trace)
        if key not in ids and len(ids) >= self._max_endpoints:
            key = other_endpoint(trace.method)
        if key not in ids:
            ids[key] = _add_endpoint(connection, key, now)
        return ids[key]

    def _trim(self, connection: Connection, added: Counter[int]) -> None:
        """Delete what is older than the latest traces of an endpoint, every so often."""
        for endpoint, count in added.items():
            if endpoint not in self._since_trim:
                count += _SLACK  # how many there were before is not known: look now
            self._since_trim[endpoint] += count
            if self._since_trim[endpoint] >= _SLACK:
                self._since_trim[endpoint] = 0
                _delete_old(connection, endpoint, self._kept)


def is_kept(trace: Trace) -> bool:
    """Whether a trace is kept whole: one that only counts a call is, if there is something to see in it."""
    return trace.whole or trace.blocked or bool(trace.attacks)


def _all_ids(connection: Connection) -> dict[EndpointKey, int]:
    table = ENDPOINTS.c
    rows = connection.execute(select(table.host, table.method, table.path, table.id))
    return {EndpointKey(host, method, path): number for host, method, path, number in rows}


def _add_endpoint(connection: Connection, key: EndpointKey, now: int) -> int:
    """The endpoint's id; another collector process may have added it in the meantime."""
    named = {"host": key.host, "method": key.method, "path": key.path}
    row = {**named, "calls": 0, "first_seen": now, "last_seen": now, "full_capture": False}
    insert_new(connection, ENDPOINTS, row)
    number: int = connection.execute(select(ENDPOINTS.c.id).filter_by(**named)).scalar_one()
    return number


def _count(connection: Connection, found: Sequence[tuple[int, Trace]], now: int) -> None:
    """Add to the counts; in order of the keys, so that two processes cannot wait for each other for ever."""
    calls = Counter(endpoint for endpoint, _ in found)
    statuses = Counter((endpoint, trace.status) for endpoint, trace in found)
    connection.execute(_SEEN, [{"endpoint": key, "more": n, "seen": now} for key, n in sorted(calls.items())])
    add_up(
        connection,
        STATUSES,
        [{"endpoint_id": key, "status": status, "calls": n} for (key, status), n in sorted(statuses.items())],
        ["calls"],
    )
    add_up(connection, MINUTES, _minutes(found, now), _COUNTS)


def _minutes(found: Sequence[tuple[int, Trace]], now: int) -> list[dict[str, Any]]:
    rows: dict[int, Counter[str]] = defaultdict(Counter)
    for endpoint, trace in found:
        row = rows[endpoint]
        row["calls"] += 1
        row["client_errors"] += 400 <= trace.status < 500
        row["server_errors"] += trace.status >= 500
        row["attacks"] += bool(trace.attacks)
        row["blocked"] += trace.blocked
    return [{"endpoint_id": key, "minute": now // 60_000, **counts} for key, counts in sorted(rows.items())]


def _row(endpoint: int, trace: Trace, now: int) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint,
        "received": now,
        "version": trace.version,
        "host": storable(trace.host, 255),
        "method": trace.method,
        "path": storable(trace.path, LONGEST_PATH),
        "status": trace.status,
        "source": _short(trace.source),
        "user": _short(trace.user),
        "session": _short(trace.session),
        "blocked": trace.blocked,
        "attacks": _short(" ".join(trace.attacks)),
        "redacted": trace.redacted,
        "document": trace.document,
    }


def _short(text: str | None) -> str | None:
    return storable(text, 255) if text else None


def _delete_old(connection: Connection, endpoint: int, kept: int) -> None:
    newest = select(TRACES.c.id).where(TRACES.c.endpoint_id == endpoint).order_by(TRACES.c.id.desc())
    oldest_kept = newest.offset(kept).limit(1).scalar_subquery()
    connection.execute(delete(TRACES).where(TRACES.c.endpoint_id == endpoint, TRACES.c.id <= oldest_kept))
