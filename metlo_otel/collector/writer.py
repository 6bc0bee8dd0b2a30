"""The one thread that writes: it takes what waits, does it in one transaction and answers after the commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
Work = Callable[[Connection], T]
_Job = tuple[Work[Any], "Future[Any]"]

_GROUP = 64  # pieces of work in one transaction


class BusyError(Exception):
    """The queue is full, or the writer has ended: nothing was stored."""


class Writer:
    """Runs pieces of work in the order they come. `on_rollback` is told when what ran before counts for nothing."""

    def __init__(self, engine: Engine, on_rollback: Callable[[], None], limit: int = 1024) -> None:
        self._engine = engine
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
        with self._changed:
            if self._ended or len(self._waiting) >= self._limit:
                raise BusyError
            self._waiting.append((work, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what waits, take nothing more and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next():
            if not self._commit(group):
                for job in group:
                    self._commit([job], last=True)

    def _next(self) -> list[_Job]:
        """What waits, at most a group; empty once the writer has ended and nothing is left."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]

    def _commit(self, group: list[_Job], last: bool = False) -> bool:
        """Whether the group is done with. One that fails is tried piece by piece, so none fails for another's fault."""
        try:
            with self._engine.begin() as connection:
                results = [work(connection) for work, _ in group]
        except Exception as problem:  # noqa: BLE001 - whoever waits for the future gets it
            self._on_rollback()
            if len(group) > 1 and not last:
                return False
            group[0][1].set_exception(problem)
            return True
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)
        return True
