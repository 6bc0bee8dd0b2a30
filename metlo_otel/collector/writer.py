"""The one thread that writes: it takes what waits, does it in one transaction and answers after the commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from metlo_otel.collector.database import begin_writing
from metlo_otel.collector.trace import Trace

T = TypeVar("T")
Work = Callable[[Connection], T]
Batch = Sequence[Trace]
_Job = tuple["Work[Any] | Batch", "Future[Any]"]

_GROUP = 64  # pieces of work in one transaction
_GROUP_TRACES = 4_000  # traces in one transaction, about: others wait for as long as it takes


class BusyError(Exception):
    """The queue is full, or the writer has ended: nothing was stored."""


class Writer:
    """Runs pieces of work in the order they come; batches of traces that follow each other are written as one.

    `write` writes traces. `on_rollback` is told when what ran before counts for nothing.
    """

    def __init__(
        self,
        engine: Engine,
        write: Callable[[Connection, Batch], None],
        on_rollback: Callable[[], None],
        limit: int = 1024,
    ) -> None:
        self._engine = engine
        self._write = write
        self._on_rollback = on_rollback
        self._limit = limit
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="metlo-otel-writer", daemon=True)
        self._thread.start()

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

    def close(self) -> None:
        """Finish what waits, take nothing more and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _put(self, work: Work[Any] | Batch, future: Future[Any]) -> None:
        with self._changed:
            if self._ended or len(self._waiting) >= self._limit:
                raise BusyError
            self._waiting.append((work, future))
            self._changed.notify()

    def _run(self) -> None:
        group: list[_Job] | None = []
        try:
            while (group := self._next()) is not None:
                if group and not self._commit(group):
                    for job in group:
                        self._commit([job], last=True)
        finally:
            self._give_up(group or [])

    def _give_up(self, group: list[_Job]) -> None:
        """Nobody waits for ever for a writer that has ended, for whatever reason."""
        with self._changed:
            self._ended = True
            left = [*group, *self._waiting]
            self._waiting.clear()
        for _, future in left:
            with suppress(InvalidStateError):  # it was done with, or nobody waits for it any more
                future.set_exception(BusyError("the writer has ended"))

    def _next(self) -> list[_Job] | None:
        """What waits and is still waited for, at most a group; None once the writer has ended and nothing is left."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if not self._waiting:
                return None
            group: list[_Job] = []
            traces = 0
            while self._waiting and len(group) < _GROUP and traces < _GROUP_TRACES:
                work, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():  # from now on it cannot be cancelled
                    group.append((work, future))
                    traces += 0 if callable(work) else len(work)
            return group

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

    def _do(self, connection: Connection, works: list[Work[Any] | Batch]) -> list[Any]:
        results: list[Any] = []
        for is_work, some in groupby(works, callable):
            if is_work:
                results += [work(connection) for work in some]  # type: ignore[operator]  # groupby asked callable()
            else:
                batches = list(some)
                self._write(connection, [trace for batch in batches for trace in batch])  # type: ignore[union-attr]
                results += [None] * len(batches)
        return results
