"""Exchanges that were dropped for want of room or time: the log says how many."""

from __future__ import annotations

import logging
import time

from metlo_otel.core.counters import Counters
from metlo_otel.core.guard import RateLimitedLog

_EVERY = 60.0  # seconds between two lines about a full queue
_WHY = {
    "queue_full": "dropped so far because the queue was full (MAX_QUEUE_EXCHANGES, MAX_QUEUE_BYTES)",
    "undelivered": "dropped because not taken by the collector before the agent's end",
    "closed": "dropped because closed after the agent's end",
}


class Losses:
    """Says what was dropped since it last said so. For the worker and the process's end, never in a request."""

    def __init__(self, counters: Counters, log: RateLimitedLog) -> None:
        self._counters = counters
        self._log = log
        self._told: dict[str, int] = {}
        self._told_at = -_EVERY

    def tell_full(self) -> None:
        """Say how many did not fit into the queue so far, when that is new, and at most once a minute."""
        if time.monotonic() - self._told_at >= _EVERY:
            self._tell("queue_full", self._counters.stats().dropped.get("queue_full", 0))

    def tell_all(self, waiting: int = 0) -> None:
        """At the end: say what was dropped; what is `waiting` then counts as undelivered."""
        dropped = self._counters.stats().dropped
        for reason in _WHY:
            self._tell(reason, dropped.get(reason, 0) + (waiting if reason == "undelivered" else 0))

    def _tell(self, reason: str, count: int) -> None:
        if count > self._told.get(reason, 0):
            self._told[reason] = count
            self._told_at = time.monotonic()
            text = f"{count} exchange{'s were' if count > 1 else ' was'} {_WHY[reason]}"
            self._log.say(logging.WARNING, text, text)
