"""Encoded traces, brought to the collector in batches, retried as long as somebody has the patience."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence

from metlo_otel.core.counters import Counters
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.export.client import Client, Outcome, Refused, Sent, TryLater

MAX_BATCH = 2_097_152  # bytes of JSON that the collector takes
MAX_TRACE = MAX_BATCH - 2
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_chance = random.SystemRandom()  # jitter must not take numbers from the app's own, perhaps seeded, random

Pause = Callable[[float], bool]
"""Waits so many seconds, or less, and says whether to go on."""


class Delivery:
    """Sends batches one at a time. Says in the log when the collector begins or ceases to take them, and no more."""

    def __init__(self, client: Client, counters: Counters, log: RateLimitedLog, where: str) -> None:
        self._client = client
        self._counters = counters
        self._log = log
        self._where = where
        self._state = "ok"

    def deliver(self, traces: Sequence[bytes], pause: Pause) -> bool:
        """Send encoded traces, each at most MAX_TRACE bytes; whether the collector took all. Every one is counted."""
        taken = [self._deliver_batch(batch, pause) for batch in batches(traces)]
        return all(taken)

    def _deliver_batch(self, batch: Sequence[bytes], pause: Pause) -> bool:
        wait = _FIRST_WAIT
        while True:
            outcome = self._client.send(b"[" + b",".join(batch) + b"]")
            self._note(outcome)
            if isinstance(outcome, Sent):
                self._counters.add("sent", len(batch))
                return True
            if isinstance(outcome, Refused):
                return self._refused(batch, outcome, pause)
            least = outcome.after if outcome.after is not None else wait
            if not pause(least * _chance.uniform(1.0, 1.3)):
                self._counters.drop("undelivered", len(batch))
                return False
            wait = min(wait * 2, _LONGEST_WAIT)
            self._counters.add("retried")

    def _refused(self, batch: Sequence[bytes], outcome: Refused, pause: Pause) -> bool:
        """Drop what is refused; but of a batch that is too large, try the halves."""
        if outcome.status == 413 and len(batch) > 1:
            half = len(batch) // 2
            taken = [self._deliver_batch(part, pause) for part in (batch[:half], batch[half:])]
            return all(taken)
        self._counters.drop("too_large" if outcome.status == 413 else "refused", len(batch))
        return False

    def _note(self, outcome: Outcome) -> None:
        state = "ok"
        if isinstance(outcome, TryLater):
            state = outcome.why
        elif isinstance(outcome, Refused):
            state = f"status {outcome.status}"
        if state != self._state:
            self._state = state
            self._say(state, isinstance(outcome, Refused))

    def _say(self, state: str, refused: bool) -> None:
        if state == "ok":
            self._log.say(logging.INFO, "delivery:ok", f"the collector at {self._where} takes traces again")
            return
        what = "the traces are dropped" if refused else "this is tried again; the app goes on"
        if state in ("status 401", "status 403"):
            what = "check API_KEY; the traces are dropped"
        self._log.say(
            logging.WARNING, "delivery:failed", f"the collector at {self._where} takes no traces: {state}; {what}"
        )


def batches(traces: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The traces in runs whose JSON array is at most MAX_BATCH bytes."""
    start, size = 0, 1
    for index, trace in enumerate(traces):
        if index > start and size + len(trace) + 1 > MAX_BATCH:
            yield traces[start:index]
            start, size = index, 1
        size += len(trace) + 1
    if start < len(traces):
        yield traces[start:]
