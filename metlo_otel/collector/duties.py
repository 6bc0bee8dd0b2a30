"""What a collector does by itself: a thread that keeps the store within its limits and tells its alerts."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from metlo_otel.collector.database import reason_of
from metlo_otel.collector.notify import Notifier
from metlo_otel.collector.writer import BusyError
from metlo_otel.core.guard import RateLimitedLog

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector")

DUTY = "upkeep and alerts"  # which one of several collectors does
_TELL = 2.0  # seconds between looks for alerts to tell and for keys that were used
_KEEP_UP = 15  # of those from one upkeep to the next


class Duties:
    """The thread; what fails is logged and tried again next time. Of several collectors on a database one does it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notifier = Notifier()
        self._log = RateLimitedLog(LOG)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metlo-otel-duties", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread; what it is about is finished first."""
        self._ended.set()
        self._thread.join()

    def _say(self, reason: str) -> None:
        self._log.say(logging.WARNING, reason, f"upkeep failed and is tried again: {reason}")

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(_TELL):
            turn += 1
            try:
                self._store.note_uses()
                if self._store.leads(DUTY):
                    self._notifier.tell(self._store)
                    if turn % _KEEP_UP == 0:
                        self._store.keep_up()
                else:
                    self._store.kept_up = time.time()  # another one does
            except BusyError:
                LOG.info("upkeep waits: too much is waiting to be stored")
            except SQLAlchemyError as problem:
                self._say(reason_of(problem))
            except OSError as problem:
                self._say(str(problem))
            except Exception:
                LOG.exception("upkeep failed and is tried again")
