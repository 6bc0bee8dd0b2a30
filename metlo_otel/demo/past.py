"""The shop's last minutes: what visitors do at full speed is laid out over time, and rules that can be tried on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from metlo_otel.collector import actions, queries
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.keys import make_key
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.demo.child import Shop
from metlo_otel.demo.ending import Ending
from metlo_otel.demo.visitors import HOST, Visitors

_MINUTES = 12
_REQUESTS = 400
_REHEARSAL = 8.0  # seconds for them at most
_SLOT = 5_000  # ms: what came together is stored together
_WHO = "the demo"

_RULES: tuple[tuple[dict[str, Any], bool], ...] = (  # rules to try, and whether they are switched on
    (
        {
            "name": "Limit logins from one address",
            "limit": "5 per minute",
            "by": "ip",
            "for": "10 minutes",
            "method": "POST",
            "path": "/api/login",
            "mode": "monitor",
        },
        True,
    ),
    (
        {
            "name": "No climbing out of the manuals",
            "block": True,
            "path": "/api/manuals",
            "parameter": {"file": {"contains": ".."}},
        },
        False,
    ),
    ({"name": "Nobody from outside reads /internal", "block": True, "path": {"starts with": "/internal"}}, False),
)


def configure(store: Store) -> None:
    """What the shop's owner would have set."""
    store.configure("globalFullTraceCapture", True, _WHO)
    authentication = [{"host": HOST, "authType": "header", "headerKey": "Authorization"}]
    store.configure("authenticationConfig", authentication, _WHO)
    for rule, enabled in _RULES:
        store.change(partial(actions.put_rule, item=rule, who=_WHO, enabled=enabled)).result()


def rehearse(directory: Path, ending: Ending) -> list[Trace]:
    """The traces of some hundred requests, made without a pause to a shop of their own, in their order."""
    with RunningCollector(str(directory / "rehearsal.db"), make_key()) as collector:
        configure(collector.store)
        with Shop(collector.url, collector.key, directory, ending) as shop, Visitors(shop.url, pause=0.0) as visitors:
            ending.wait(_REHEARSAL, lambda: visitors.requests >= _REQUESTS or shop.ended)
        return collector.store.read(_read)  # the shop has ended, and so sent everything


def lay_out(store: Store, traces: Sequence[Trace]) -> None:
    """Store traces as if they had come in the last minutes, evenly."""
    store.change(partial(_write, traces=traces, now=time.time_ns() // 1_000_000)).result()


def _read(connection: Connection) -> list[Trace]:
    found = queries.read_documents(connection, {}, _REQUESTS)
    return [replace(read_trace(document, 2), counted=False) for _, document in found][::-1]  # their sums stay behind


def _write(connection: Connection, traces: Sequence[Trace], now: int) -> None:
    ingest = Ingest()
    slots = _MINUTES * 60_000 // _SLOT
    for slot in range(slots):
        part = traces[len(traces) * slot // slots : len(traces) * (slot + 1) // slots]
        ingest.write(connection, part, now - (slots - slot) * _SLOT)
