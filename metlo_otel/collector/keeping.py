"""Keeping the latest traces of each endpoint: the interesting ones longest, and of a flood a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from metlo_otel.collector.counting import Located
from metlo_otel.collector.database import take_ids, write_many
from metlo_otel.collector.endpoints import LONGEST_PATH, storable
from metlo_otel.collector.schema import ATTACKS, DOCUMENTS, TRACES
from metlo_otel.collector.trace import Found, Trace

KEPT = 100  # latest traces of each endpoint

_SLACK = 50  # traces over KEPT after which the oldest are deleted
_PER_SECOND = 20  # traces of one endpoint that replace older ones in a second, ordinary and interesting ones each
_IN_ALL = 500  # the same of all endpoints together; what is left out is counted and learnt of all the same
_ATTACKS_PER_SECOND = 500  # rows about attacks; in a flood further ones are only counted
_LONGEST_FRAGMENT = 200
_LONGEST = 255
_INSERT_TRACES, _INSERT_DOCUMENTS, _INSERT_ATTACKS = insert(TRACES), insert(DOCUMENTS), insert(ATTACKS)


class Keeping:
    """Writes traces down and deletes what they replace; remembers how many there are of each endpoint."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._second = 0
        self._replaced: Counter[tuple[int, bool]] = Counter()
        self._replaced_in_all: Counter[bool] = Counter()
        self._attacks = 0
        self.forget()

    def forget(self) -> None:
        """Believe nothing of what was remembered."""
        self._held: dict[int, int] = {}

    def keep(self, connection: Connection, found: Located, now: int) -> None:
        """Keep those of the traces that are to be kept, received at `now`."""
        if now // 1000 != self._second:
            self._second = now // 1000
            self._replaced.clear()
            self._replaced_in_all.clear()
            self._attacks = 0
        self._count(connection, {endpoint for endpoint, _ in found})
        chosen = [(endpoint, trace) for endpoint, trace in found if is_kept(trace) and self._has_room(endpoint, trace)]
        ids = take_ids(connection, TRACES, len(chosen)) if chosen else []
        if chosen:
            rows = [_row(number, *each, now) for number, each in zip(ids, chosen, strict=True)]
            write_many(connection, _INSERT_TRACES, rows)
            documents = [
                {"trace_id": number, "document": trace.document} for number, (_, trace) in zip(ids, chosen, strict=True)
            ]
            write_many(connection, _INSERT_DOCUMENTS, documents)
        self._note_attacks(connection, found, dict(zip(map(id, [trace for _, trace in chosen]), ids, strict=True)), now)
        self._trim(connection, {endpoint for endpoint, _ in chosen})

    def _count(self, connection: Connection, endpoints: set[int]) -> None:
        unknown = sorted(endpoints - self._held.keys())
        if unknown:
            table = TRACES.c
            counted = select(table.endpoint_id, func.count()).where(table.endpoint_id.in_(unknown))
            self._held.update(dict.fromkeys(unknown, 0))
            self._held.update((number, n) for number, n in connection.execute(counted.group_by(table.endpoint_id)))

    def _has_room(self, endpoint: int, trace: Trace) -> bool:
        if self._held[endpoint] >= self._kept:
            key = (endpoint, is_interesting(trace))
            if self._replaced[key] >= _PER_SECOND or self._replaced_in_all[key[1]] >= _IN_ALL:
                return False
            self._replaced[key] += 1
            self._replaced_in_all[key[1]] += 1
        self._held[endpoint] += 1
        return True

    def _note_attacks(self, connection: Connection, found: Located, stored: dict[int, int], now: int) -> None:
        rows = [
            _attack(endpoint, trace, finding, stored.get(id(trace)), now)
            for endpoint, trace in found
            for finding in trace.findings
        ][: max(_ATTACKS_PER_SECOND - self._attacks, 0)]
        if rows:
            self._attacks += len(rows)
            write_many(connection, _INSERT_ATTACKS, rows)

    def _trim(self, connection: Connection, endpoints: set[int]) -> None:
        """Delete the oldest traces of an endpoint, every so often."""
        for endpoint in sorted(endpoints):
            if self._held[endpoint] >= self._kept + _SLACK:
                self._held[endpoint] = trim(connection, endpoint, self._kept)


def is_kept(trace: Trace) -> bool:
    """Whether a trace is kept whole: one that only counts a call is, if there is something to see in it."""
    return trace.whole or trace.blocked or bool(trace.attacks)


def is_interesting(trace: Trace) -> bool:
    """Whether somebody will want to look at a trace."""
    return bool(trace.blocked or trace.attacks or trace.rule or trace.invalid) or trace.status >= 500


def trim(connection: Connection, endpoint: int, kept: int) -> int:
    """Keep `kept` traces of an endpoint: half may be old interesting ones. Returns how many are left."""
    table = TRACES.c
    rows = select(table.id, table.interesting).where(table.endpoint_id == endpoint).order_by(table.id.desc())
    held = [(number, bool(interesting)) for number, interesting in connection.execute(rows)]
    protected = {number for number, interesting in held if interesting}
    protected = set(sorted(protected, reverse=True)[: kept // 2])
    others = [number for number, _ in held if number not in protected]
    delete_traces(connection, others[kept - len(protected) :])
    return min(len(held), kept)


def delete_traces(connection: Connection, ids: Sequence[int]) -> None:
    """Delete traces and their documents."""
    for start in range(0, len(ids), 500):
        part = list(ids[start : start + 500])
        connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.trace_id.in_(part)))
        connection.execute(delete(TRACES).where(TRACES.c.id.in_(part)))


def _row(number: int, endpoint: int, trace: Trace, now: int) -> dict[str, Any]:
    return {
        "id": number,
        "endpoint_id": endpoint,
        "received": now,
        "version": trace.version,
        "host": storable(trace.host, _LONGEST),
        "method": trace.method,
        "path": storable(trace.path, LONGEST_PATH),
        "status": trace.status,
        "source": _short(trace.source),
        "user": _short(trace.user),
        "session": _short(trace.session),
        "blocked": trace.blocked,
        "rule": _short(trace.rule),
        "attacks": _short(" ".join(trace.attacks)),
        "redacted": trace.redacted,
        "interesting": is_interesting(trace),
        "trace_id": storable(trace.trace_id, 32) if trace.trace_id else None,
        "duration": trace.duration,
        "size": len(trace.document),
    }


def _attack(endpoint: int, trace: Trace, finding: Found, stored: int | None, now: int) -> dict[str, Any]:
    return {
        "at": now,
        "endpoint_id": endpoint,
        "stored_trace": stored,
        "category": storable(finding.category, 64),
        "field": storable(finding.field, 512),
        "confidence": storable(finding.confidence, 8) if finding.confidence else None,
        "fragment": storable(finding.fragment, _LONGEST_FRAGMENT) if finding.fragment else None,
        "path": storable(trace.path, LONGEST_PATH),
        "status": trace.status,
        "blocked": trace.blocked,
        "source": _short(trace.source),
        "user": _short(trace.user),
        "session": _short(trace.session),
    }


def _short(text: str | None) -> str | None:
    return storable(text, _LONGEST) if text else None
