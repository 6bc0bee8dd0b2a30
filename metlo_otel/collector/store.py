"""The store: the database, its one writer and what is remembered of it, opened and closed together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from metlo_otel.collector.configuration import configure
from metlo_otel.collector.database import open_database
from metlo_otel.collector.duties import Duties
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.keys import GIVEN, MADE, READING, KeyRing, check_key, list_keys, make_key, store_key
from metlo_otel.collector.leadership import Leadership
from metlo_otel.collector.sums import Sums
from metlo_otel.collector.trace import Trace
from metlo_otel.collector.upkeep import DEFAULT_LIMITS, Limits, Upkeep
from metlo_otel.collector.writer import Writer

T = TypeVar("T")


class Store:
    """Everything that is kept. `where` is a path of a SQLite file or a URL; raises DatabaseError where it cannot be
    opened. With `duties` a thread keeps it within `limits` and tells its alerts. `kept_up` is when that was done last
    (seconds since the epoch), `taken` counts what was handed over to be stored, `public`
    is where people reach the dashboard, as `https://metlo.example`.
    """

    def __init__(self, where: str, limits: Limits = DEFAULT_LIMITS, duties: bool = True) -> None:
        self._engine = open_database(where)
        self._ingest = Ingest(limits.traces_per_endpoint, limits.endpoints)
        self._writer = Writer(self._engine, self._write, self._write_sums, self._ingest.forget)
        self.keys = KeyRing(self._engine)
        self._upkeep = Upkeep(limits)
        self.public = ""
        self.kept_up = time.time()
        self.taken = {"traces": 0, "sums": 0}
        self._leadership = Leadership(self._engine)
        self._duties = Duties(self) if duties else None

    @property
    def is_writing(self) -> bool:
        """Whether the thread that writes runs."""
        return self._writer.is_alive

    @property
    def is_keeping_up(self) -> bool:
        """Whether the thread that keeps the store within its limits runs, or none is wanted."""
        return self._duties is None or self._duties.is_alive

    @property
    def waiting(self) -> int:
        """How many pieces of work wait to be stored."""
        return self._writer.waiting

    def add(self, traces: Sequence[Trace]) -> Future[None]:
        """A future that is done once the traces are durable. Raises BusyError."""
        taken = self._writer.add(traces)
        self.taken["traces"] += len(traces)
        return taken

    def add_sums(self, sums: Sums) -> Future[None]:
        """The same for what an agent counted. Raises BusyError."""
        taken = self._writer.add_sums(sums)
        self.taken["sums"] += 1
        return taken

    def change(self, work: Callable[[Connection], T]) -> Future[T]:
        """A future of what `work` returns, run in the writer's thread, done after its commit. Raises BusyError."""
        return self._writer.submit(work)

    async def changed(self, work: Callable[[Connection], T]) -> T:
        """What change() promises, awaited; work that was not begun when nobody waits any more is not done."""
        return await asyncio.wrap_future(self.change(work))

    def configure(self, name: str, value: object, who: str = "command line") -> None:
        """Set a part of agent-config and wait until it is stored. Raises KeyError for an unknown name, ValueError."""
        self.change(partial(configure, name=name, value=value, who=who)).result()

    def ensure_key(self, given: str | None = None, new: bool = False) -> str | None:
        """Make sure that there is a valid API key: the `given` one (which replaces the one given before), else one
        that was made. Returns a key that was made just now, for it can be shown only now; else None.

        Raises ValueError for a given key that no header can carry.
        """
        made = None
        if given is not None:
            self.change(partial(store_key, name=GIVEN, key=check_key(given))).result()
        elif new or all(key.reads for key in self.read(list_keys)):
            made = make_key()
            self.change(partial(store_key, name=MADE, key=made)).result()
        self.keys.refresh()
        return made

    def ensure_read_key(self, given: str) -> None:
        """Have `given` be valid for reading; it replaces the one given before. Raises ValueError."""
        self.change(partial(store_key, name=READING, key=check_key(given), reads=True)).result()
        self.keys.refresh()

    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` finds; runs in the caller's thread."""
        with self._engine.connect() as connection:
            return query(connection)

    def leads(self, duty: str) -> bool:
        """Whether what only one of several collectors on a database may do is for this one. Raises SQLAlchemyError."""
        return self._leadership.leads(duty)

    def keep_up(self) -> None:
        """Do what is due: older things summed up and deleted, endpoints merged. Waits for it."""
        for step in self._upkeep.steps():
            if self.change(step).result():
                self.change(self._forget).result()
        self.kept_up = time.time()

    def note_uses(self) -> None:
        """Write down when keys were used last, where they were. Waits for it."""
        used = self.keys.take_used()
        if used:
            self.change(partial(self.keys.note_used, used=used)).result()

    def close(self) -> None:
        """Write what waits and let the database go."""
        if self._duties is not None:
            self._duties.close()
        self._leadership.close()
        self._writer.close()
        self._engine.dispose()

    def _write(self, connection: Connection, traces: Sequence[Trace]) -> None:
        self._ingest.write(connection, traces, time.time_ns() // 1_000_000)

    def _write_sums(self, connection: Connection, documents: Sequence[Sums]) -> None:
        self._ingest.write_sums(connection, documents, time.time_ns() // 1_000_000)

    def _forget(self, _connection: Connection) -> None:
        self._ingest.forget()
