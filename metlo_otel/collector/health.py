"""Whether the collector works: `/healthz` for who would restart it, `/readyz` for who would send it something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metlo_otel.collector.answers import Json
from metlo_otel.collector.database import reason_of
from metlo_otel.collector.migrate import HEAD, revision_of
from metlo_otel.collector.store import Store
from metlo_otel.collector.writer import BusyError

_PATIENCE = 3.0  # seconds that a commit may take
_BELIEVED = 1.0  # seconds for which an answer holds: anybody may ask, and what is asked costs a commit


class Health:
    """The two answers, around one store; they tell no data and need no key."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._asking = anyio.Lock()
        self._thread = CapacityLimiter(1)
        self._found: dict[str, str] = {}
        self._asked = float("-inf")
        self.routes = [
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/readyz", self._readyz, methods=["GET"]),
        ]

    async def _healthz(self, _request: Request) -> Response:
        """503 where only a restart helps: the thread that writes, or the one that keeps up, has ended."""
        return _answer({"writer": _alive(self._store.is_writing), "upkeep": _alive(self._store.is_keeping_up)})

    async def _readyz(self, _request: Request) -> Response:
        """503 where nothing could be stored now: the database is gone, full, locked, or of another version."""
        async with self._asking:
            if self._clock() - self._asked >= _BELIEVED:
                self._found = {"reading": await self._read(), "writing": await self._write()}
                self._asked = self._clock()
        return _answer(self._found)

    async def _read(self) -> str:
        try:
            with anyio.fail_after(_PATIENCE):
                revision = await to_thread.run_sync(
                    self._store.read, revision_of, limiter=self._thread, abandon_on_cancel=True
                )
        except TimeoutError:
            return f"nothing was read within {_PATIENCE:g} seconds"
        except SQLAlchemyError as problem:
            return reason_of(problem)
        return "ok" if revision == HEAD else f"the tables are of revision {revision}, not of {HEAD}"

    async def _write(self) -> str:
        """What is wrong with a commit of a change that changes nothing."""
        try:
            with anyio.fail_after(_PATIENCE):
                await self._store.changed(_touch)
        except TimeoutError:
            return f"nothing was stored within {_PATIENCE:g} seconds"
        except BusyError:
            return "too much is waiting to be stored"
        except SQLAlchemyError as problem:
            return reason_of(problem)
        return "ok"


def _touch(connection: Connection) -> None:
    """A write of one page, which a full disk or a read-only one refuses."""
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def _alive(runs: bool) -> str:
    return "ok" if runs else "its thread has ended; the log says why"


def _answer(checks: dict[str, str]) -> Response:
    good = all(state == "ok" for state in checks.values())
    body: dict[str, Any] = {"status": "ok" if good else "failing", "checks": checks}
    return Json(body, 200 if good else 503, {"Cache-Control": "no-store"})
