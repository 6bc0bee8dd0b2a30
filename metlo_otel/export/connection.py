"""The client as the worker uses it: made at the first call, with a clock for who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from metlo_otel.core.agent_config import Served
from metlo_otel.core.settings import Settings
from metlo_otel.export.outcome import Outcome

if TYPE_CHECKING:
    from metlo_otel.export.client import Client

T = TypeVar("T")


class Connection:
    """Talks to one Metlo. Not for several threads at once.

    The HTTP libraries are imported at the first call, in the worker: an app's import of us must not bring them and
    `ssl` in before gevent or eventlet have patched them, nor wait for them. `asking_since` is the
    time.monotonic() at which a call began that goes on, else None.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.renew()

    def renew(self) -> None:
        """Begin with new connections: those of a forked process's parent must not be shared."""
        self._client: Client | None = None
        self.asking_since: float | None = None

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._client is not None:
            self._client.close()

    def interrupt(self) -> bool:
        """As Client.interrupt()."""
        client = self._client
        return client is not None and client.interrupt()

    def send(self, batch: bytes) -> Outcome:
        """As Client.send()."""
        return self._timed(self._open().send, batch)

    def send_aggregates(self, document: bytes) -> Outcome:
        """As Client.send_aggregates()."""
        return self._timed(self._open().send_aggregates, document)

    def get_config(self, etag: str | None = None) -> Served:
        """As Client.get_config()."""
        return self._timed(self._open().get_config, etag)

    def answers(self) -> bool:
        """As Client.answers()."""
        return self._timed(self._open().answers)

    def _open(self) -> Client:
        if self._client is None:
            from metlo_otel.export.client import Client

            self._client = Client(self._settings)
        return self._client

    def _timed(self, call: Callable[..., T], *arguments: object) -> T:
        self.asking_since = time.monotonic()
        try:
            return call(*arguments)
        finally:
            self.asking_since = None
