"""Which of several collectors on one PostgreSQL does what only one may: whoever holds an advisory lock of its session.

The lock goes with the session: where a process ends or loses the database, another one's next look takes it over.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

LOG = logging.getLogger("metlo_otel.collector")

_SPACE = 73_042_651  # a number of our own, before that of the duty
_TRY = text("SELECT pg_try_advisory_lock(:space, :duty)")
_BELIEVED = 1.0  # seconds for which a session that answered is believed to be there
# PostgreSQL lets go of a session whose machine is gone after some 15 seconds, not two hours.
_NOTICED = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2"


class Leadership:
    """The duties that are this process's; with SQLite, whose file one collector has, all of them.

    One connection is kept for it. For any thread. What is done twice for a moment, when a session is lost in the midst
    of a duty, must do no harm.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._alone = engine.dialect.name == "sqlite"
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._held: set[str] = set()
        self._looked = float("-inf")

    def leads(self, duty: str) -> bool:
        """Whether a duty is this process's now; where it is nobody's it is from now on. Raises SQLAlchemyError."""
        if self._alone:
            return True
        with self._lock:
            try:
                return self._look(duty)
            except BaseException:
                self._let_go()
                raise

    def close(self) -> None:
        """Leave all duties to others."""
        with self._lock:
            if self._connection is not None:
                with suppress(SQLAlchemyError):  # the session is gone, and what it held with it
                    self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            self._let_go()

    def _look(self, duty: str) -> bool:
        connection = self._connection or self._connect()
        if duty in self._held:
            if self._clock() - self._looked >= _BELIEVED:
                connection.execute(text("SELECT 1"))
                self._looked = self._clock()
            return True
        found = connection.execute(_TRY, {"space": _SPACE, "duty": _number(duty)}).scalar_one()
        self._looked = self._clock()
        if found:
            self._held.add(duty)
            LOG.info("this collector does %s for all that share the database", duty)
        return bool(found)

    def _connect(self) -> Connection:
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.exec_driver_sql(_NOTICED)
        return self._connection

    def _let_go(self) -> None:
        """End the session, with all that it holds; what was lost may be another's already."""
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            connection.invalidate()
            connection.close()


def _number(duty: str) -> int:
    """32 bits with a sign, as PostgreSQL's second number has them."""
    return zlib.crc32(duty.encode()) - 2**31
