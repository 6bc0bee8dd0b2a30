"""The store: the database, its one writer and what is remembered of it, opened and closed together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from metlo_otel.collector.configuration import configure
from metlo_otel.collector.database import open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.keys import GIVEN, MADE, KeyRing, check_key, list_keys, make_key, store_key
from metlo_otel.collector.trace import Trace
from metlo_otel.collector.writer import Writer

T = TypeVar("T")


class Store:
    """Everything that is kept. `where` is a path of a SQLite file; raises DatabaseError where it cannot be opened."""

    def __init__(self, where: str) -> None:
        self._engine = open_database(where)
        self._ingest = Ingest()
        self._writer = Writer(self._engine, self._ingest.forget)
        self.keys = KeyRing(self._engine)

    def add(self, traces: Sequence[Trace]) -> Future[None]:
        """A future that is done once the traces are durable. Raises BusyError."""
        now = time.time_ns() // 1_000_000
        return self._writer.submit(partial(self._ingest.write, traces=traces, now=now))

    def change(self, work: Callable[[Connection], T]) -> Future[T]:
        """A future of what `work` returns, run in the writer's thread, done after its commit. Raises BusyError."""
        return self._writer.submit(work)

    def configure(self, name: str, value: object) -> None:
        """Set a part of agent-config and wait until it is stored. Raises KeyError for an unknown name."""
        self.change(partial(configure, name=name, value=value)).result()

    def ensure_key(self, given: str | None = None, new: bool = False) -> str | None:
        """Make sure that there is a valid API key: the `given` one (which replaces the one given before), else one
        that was made. Returns a key that was made just now, for it can be shown only now; else None.

        Raises ValueError for a given key that no header can carry.
        """
        made = None
        if given is not None:
            self.change(partial(store_key, name=GIVEN, key=check_key(given))).result()
        elif new or not self.read(list_keys):
            made = make_key()
            self.change(partial(store_key, name=MADE, key=made)).result()
        self.keys.refresh()
        return made

    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` finds; runs in the caller's thread."""
        with self._engine.connect() as connection:
            return query(connection)

    def close(self) -> None:
        """Write what waits and let the database go."""
        self._writer.close()
        self._engine.dispose()
