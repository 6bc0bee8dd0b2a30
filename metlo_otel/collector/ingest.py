"""Writing traces and sums: their endpoints, what is counted, learnt and raised, and the latest traces whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from metlo_otel.collector.alerts import raise_alerts
from metlo_otel.collector.counting import count, counts_of_sums, counts_of_traces
from metlo_otel.collector.facts import Facts
from metlo_otel.collector.inventory import MAX_ENDPOINTS, C, Inventory, Known
from metlo_otel.collector.keeping import KEPT, Keeping
from metlo_otel.collector.latencies import add_measured, of_sums, of_traces
from metlo_otel.collector.services import Services
from metlo_otel.collector.sums import Sums, together
from metlo_otel.collector.trace import Trace
from metlo_otel.collector.watching import InForce, alerts_of, alerts_of_new, set_risks

LOG = logging.getLogger("metlo_otel.collector")


class Ingest:
    """Writes traces and sums; lives on the writer's thread and remembers what it has seen of the database."""

    def __init__(self, kept: int = KEPT, max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._known = InForce()
        self._inventory = Inventory(self._known.map_host, max_endpoints)
        self._facts = Facts()
        self._keeping = Keeping(kept)
        self._services = Services()

    def forget(self) -> None:
        """Believe nothing of what was remembered: a transaction was rolled back, or endpoints were merged."""
        self._known.version = None
        self._inventory.forget()
        self._facts.forget()
        self._keeping.forget()
        self._services.forget()

    def write(self, connection: Connection, traces: Sequence[Trace], now: int) -> None:
        """Write `traces`, received at `now` (milliseconds since the epoch), in the caller's transaction."""
        if not traces:
            return
        placed, added = self._place(connection, traces, now)
        found = [(endpoint.id, trace) for endpoint, trace in placed]
        new = self._facts.learn(connection, found, now)
        set_risks(connection, list(new), self._facts, self._known.severities)
        keys = {endpoint.id: endpoint.key for endpoint, _ in placed}
        alerts = alerts_of_new(connection, keys, added, new, self._facts, self._known, now)
        alerts += alerts_of(placed)
        raise_alerts(connection, alerts, now)
        self._keeping.keep(connection, found, now)
        count(connection, counts_of_traces(found), now)
        add_measured(connection, of_traces(found), now)
        self._services.note(connection, found)

    def write_sums(self, connection: Connection, documents: Sequence[Sums], now: int) -> None:
        """The same for what agents counted."""
        sums = together(documents)
        placed, added = self._place(connection, list(sums.series), now)
        found = [(endpoint.id, sums.series[key]) for endpoint, key in placed]
        new = self._facts.learn_sums(connection, [each for each in found if each[1].key.status], now)
        set_risks(connection, list(new), self._facts, self._known.severities)
        keys = {endpoint.id: endpoint.key for endpoint, _ in placed}
        alerts = alerts_of_new(connection, keys, added, new, self._facts, self._known, now)
        raise_alerts(connection, alerts, now)
        count(connection, counts_of_sums(found, sums.actors), now)
        add_measured(connection, of_sums(found), now)
        self._services.note_sums(connection, documents, {each.key: endpoint for endpoint, each in found})
        if sums.left_out:
            LOG.info("%d calls are counted without who made them: too many made some at once", sums.left_out)

    def _place(self, connection: Connection, calls: Sequence[C], now: int) -> tuple[list[tuple[Known, C]], list[Known]]:
        """Calls with their endpoints, and the endpoints that are new."""
        if self._known.refresh(connection):  # hosts may count as others from now on
            self._inventory.forget()
            self._facts.forget()
            self._keeping.forget()
        placed = self._inventory.place(connection, calls, now)
        added, self._inventory.added = self._inventory.added, []
        if self._inventory.evicted:  # what is remembered may be of endpoints that are gone
            self._inventory.evicted = False
            self._facts.forget()
            self._keeping.forget()
        return placed, added
