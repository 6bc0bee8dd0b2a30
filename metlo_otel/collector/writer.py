"""The one thread that writes: it takes what waits, does it in one transaction and answers after the commit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from metlo_otel.collector.database import begin_writing
from metlo_otel.collector.sums import Sums
from metlo_otel.collector.trace import Trace

T = TypeVar("T")
Work = Callable[[Connection], T]
Batch = Sequence[Trace]
_Job = tuple["Work[Any] | Batch | Sums", "Future[Any]"]

_GROUP = 64  # pieces of work in one transaction
_GROUP_TRACES = 4_000  # traces in one transaction, about: others wait for as long as it takes
_SHARE = 0.03  # of the time is for writing sums: many agents' together cost little more than one's
_LEAST_REST, _MOST_REST = 0.05, 0.9  # seconds between two writings


class BusyError(Exception):
    """The queue is full, or the writer has ended: nothing was stored."""


class Writer:
    """Runs pieces of work in the order they come; batches of traces that follow each other are written as one.

    `write` writes traces, `write_sums` sums. `on_rollback` is told when what ran before counts for nothing.
    """

    def __init__(
        self,
        engine: Engine,
        write: Callable[[Connection, Batch], None],
        write_sums: Callable[[Connection, Sequence[Sums]], None],
        on_rollback: Callable[[], None],
        limit: int = 1024,
    ) -> None:
        self._engine = engine
        self._write = write
        self._write_sums = write_sums
        self._on_rollback = on_rollback
        self._limit = limit
        self._waiting: deque[_Job] = deque()
        self._sums: deque[_Job] = deque()
        self._sums_from = 0.0  # by the monotonic clock: before, no sums are written
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="metlo-otel-writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether there is somebody who writes."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting) + len(self._sums)

    def submit(self, work: Work[T]) -> Future[T]:
        """A future that is done after `work`'s commit, or failed with what `work` or the commit raised.

        Raises BusyError where too much is waiting already.
        """
        future: Future[T] = Future()
        self._put(work, future)
        return future

    def add(self, traces: Batch) -> Future[None]:
        """The same for traces to write."""
        future: Future[None] = Future()
        self._put(traces, future)
        return future

    def add_sums(self, sums: Sums) -> Future[None]:
        """The same for what an agent counted; what comes within a moment is written together."""
        future: Future[None] = Future()
        self._put(sums, future)
        return future

    def close(self) -> None:
        """Finish what waits, take nothing more and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _put(self, work: Work[Any] | Batch | Sums, future: Future[Any]) -> None:
        with self._changed:
            if self._ended or len(self._waiting) + len(self._sums) >= self._limit:
                raise BusyError
            (self._sums if isinstance(work, Sums) else self._waiting).append((work, future))
            self._changed.notify()

    def _run(self) -> None:
        group: list[_Job] | None = []
        try:
            while (group := self._next()) is not None:
                began = time.monotonic()
                if group and not self._commit(group):
                    for job in group:
                        self._commit([job], last=True)
                if group and isinstance(group[-1][0], Sums):  # they are the last of a group
                    self._rest(time.monotonic() - began)
        finally:
            self._give_up(group or [])

    def _rest(self, took: float) -> None:
        """Write no sums for a while: little is written at once, of much more comes together."""
        rest = min(max(took / _SHARE, _LEAST_REST), _MOST_REST)
        self._sums_from = time.monotonic() + rest

    def _give_up(self, group: list[_Job]) -> None:
        """Nobody waits for ever for a writer that has ended, for whatever reason."""
        with self._changed:
            self._ended = True
            left = [*group, *self._waiting, *self._sums]
            self._waiting.clear()
            self._sums.clear()
        for _, future in left:
            with suppress(InvalidStateError):  # it was done with, or nobody waits for it any more
                future.set_exception(BusyError("the writer has ended"))

    def _next(self) -> list[_Job] | None:
        """What waits and is still waited for, at most a group; None once the writer has ended and nothing is left."""
        with self._changed:
            while not self._waiting and not self._ended and (wait := self._until_sums()) != 0:
                self._changed.wait(wait)
            if not self._waiting and not self._sums:
                return None
            group: list[_Job] = []
            traces = 0
            while self._waiting and len(group) < _GROUP and traces < _GROUP_TRACES:
                work, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():  # from now on it cannot be cancelled
                    group.append((work, future))
                    traces += len(work) if isinstance(work, Sequence) else 0
            if self._sums and (self._ended or self._until_sums() == 0):
                group += [job for job in self._sums if job[1].set_running_or_notify_cancel()]
                self._sums.clear()
            return group

    def _until_sums(self) -> float | None:
        """Seconds until the sums that wait are written; None where none wait."""
        return max(self._sums_from - time.monotonic(), 0.0) if self._sums else None

    def _commit(self, group: list[_Job], last: bool = False) -> bool:
        """Whether the group is done with. One that fails is tried piece by piece, so none fails for another's fault,
        and one piece again where what was remembered of the database was not true any more.
        """
        try:
            with self._engine.connect() as connection:
                begin_writing(connection)
                results = self._do(connection, [work for work, _ in group])
                connection.commit()
        except Exception as problem:  # noqa: BLE001 - whoever waits for the future gets it
            self._on_rollback()
            if not last and (len(group) > 1 or isinstance(problem, IntegrityError)):
                return False
            group[0][1].set_exception(problem)
            return True
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)
        return True

    def _do(self, connection: Connection, works: list[Work[Any] | Batch | Sums]) -> list[Any]:
        results: list[Any] = []
        for kind, some in groupby(works, _kind):
            jobs: list[Any] = list(some)
            if kind == "work":
                results += [work(connection) for work in jobs]
                continue
            if kind == "sums":
                self._write_sums(connection, jobs)
            else:
                self._write(connection, [trace for batch in jobs for trace in batch])
            results += [None] * len(jobs)
        return results


def _kind(work: Work[Any] | Batch | Sums) -> str:
    if isinstance(work, Sums):
        return "sums"
    return "work" if callable(work) else "traces"
