"""Writing traces: their endpoint, what is counted, learnt and raised, and the latest of them whole."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from metlo_otel.collector.alerts import raise_alerts
from metlo_otel.collector.counting import count
from metlo_otel.collector.facts import Facts
from metlo_otel.collector.inventory import MAX_ENDPOINTS, Inventory
from metlo_otel.collector.keeping import KEPT, Keeping
from metlo_otel.collector.trace import Trace
from metlo_otel.collector.watching import InForce, alerts_of, set_risks


class Ingest:
    """Writes traces; lives on the writer's thread and remembers what it has seen of the database."""

    def __init__(self, kept: int = KEPT, max_endpoints: int = MAX_ENDPOINTS) -> None:
        self._known = InForce()
        self._inventory = Inventory(self._known.map_host, max_endpoints)
        self._facts = Facts()
        self._keeping = Keeping(kept)

    def forget(self) -> None:
        """Believe nothing of what was remembered: a transaction was rolled back, or endpoints were merged."""
        self._known.version = None
        self._inventory.forget()
        self._facts.forget()
        self._keeping.forget()

    def write(self, connection: Connection, traces: Sequence[Trace], now: int) -> None:
        """Write `traces`, received at `now` (milliseconds since the epoch), in the caller's transaction."""
        if not traces:
            return
        if self._known.refresh(connection):
            self._inventory.forget()
        placed = [(self._inventory.find(connection, trace, now), trace) for trace in traces]
        added, self._inventory.added = self._inventory.added, []
        if any("{" in endpoint.key.path for endpoint in added):  # guesses may have been corrected meanwhile
            placed = [(self._inventory.find(connection, trace, now), trace) for trace in traces]
        found = [(endpoint.id, trace) for endpoint, trace in placed]
        new = self._facts.learn(connection, found, now)
        set_risks(connection, list(new), self._facts, self._known.severities)
        raise_alerts(connection, alerts_of(placed, added, new, self._known), now)
        self._keeping.keep(connection, found, now)
        count(connection, found, now)
