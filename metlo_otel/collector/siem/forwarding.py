"""Forwarding: a thread for each destination, which remembers in the store how far it has got."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from metlo_otel.collector.configuration import get_setting, put_setting
from metlo_otel.collector.database import reason_of
from metlo_otel.collector.siem.destinations import Destination
from metlo_otel.collector.siem.findings import State, after, latest
from metlo_otel.collector.writer import BusyError
from metlo_otel.core.guard import RateLimitedLog

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector")

_EVERY = 2.0  # seconds between two looks for new findings
_LONGEST_WAIT = 60.0  # the same while a destination takes nothing


@contextmanager
def forwarding(store: Store, destinations: Sequence[Destination], every: float = _EVERY) -> Iterator[None]:
    """Forward to these within the block."""
    forwarders = [Forwarder(store, each, every) for each in destinations]
    try:
        yield
    finally:
        for each in forwarders:
            each.close()


class Forwarder:
    """One destination: what it has taken is not sent again, what it has not is, as long as the store keeps it."""

    def __init__(self, store: Store, destination: Destination, every: float = _EVERY) -> None:
        self._store = store
        self._destination = destination
        self._every = every
        self._name = self.name_of(destination)
        self._log = RateLimitedLog(LOG)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metlo-otel-forwarder", daemon=True)
        self._thread.start()

    @staticmethod
    def name_of(destination: Destination) -> str:
        """Under which name the store keeps how far a destination has got."""
        return "forwarded " + hashlib.sha256(f"{destination.name} {destination.format}".encode()).hexdigest()[:32]

    def close(self) -> None:
        """End the thread; what it is about is finished first."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        wait = self._every
        while True:
            try:
                while self._forward() and not self._ended.is_set():
                    pass
                wait = self._every
            except BusyError:
                LOG.info("forwarding waits: too much is waiting to be stored")
            except SQLAlchemyError as problem:
                self._say(reason_of(problem))
            except (OSError, ValueError) as problem:
                self._say(str(problem))
                wait = min(wait * 2, _LONGEST_WAIT)
            if self._ended.wait(wait):
                return

    def _forward(self) -> bool:
        """Send what is new; whether there was anything. Of several collectors with the same destination one does."""
        if not self._store.leads(self._name):
            return False
        state = self._store.read(lambda connection: get_setting(connection, self._name))
        if state is None:  # a new destination begins with what comes from now on
            self._remember(self._store.read(latest))
            return False
        findings, done = self._store.read(partial(after, state=state))
        if findings:
            self._destination.send(findings)
            self._remember(done)
        return bool(findings)

    def _remember(self, state: State) -> None:
        self._store.change(partial(put_setting, name=self._name, value=state)).result()

    def _say(self, reason: str) -> None:
        name = self._destination.name
        self._log.say(logging.WARNING, reason, f"findings wait, {name} does not take them: {reason}; it is tried again")
