"""Encoded traces, brought to the collector in batches, retried as long as somebody has the patience."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from metlo_otel.core.counters import Counters
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.export.connection import Connection
from metlo_otel.export.outcome import Outcome, Refused, Sent, TryLater

MAX_BATCH = 2_097_152  # bytes of JSON that the collector takes
MAX_TRACE = MAX_BATCH - 2
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 2.0  # with the time that a probe takes, a collector that is back is found within five seconds
_chance = random.SystemRandom()  # jitter must not take numbers from the app's own, perhaps seeded, random

Pause = Callable[[float], bool]
"""Waits so many seconds, or less, and says whether to go on."""


class Delivery:
    """Sends batches one at a time. Says in the log when the collector begins or ceases to take them, and no more.

    `failures` counts the tries that the collector did not answer with success or refusal. `on_return` is called when it
    takes batches again.
    """

    def __init__(
        self,
        connection: Connection,
        counters: Counters,
        log: RateLimitedLog,
        where: str,
        on_return: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._counters = counters
        self._log = log
        self._where = where
        self._on_return = on_return
        self._state = "ok"
        self._batches: deque[Sequence[bytes]] = deque()
        self.failures = 0

    @property
    def unfinished(self) -> bool:
        """Whether batches are left over, which the next deliver() begins with."""
        return bool(self._batches)

    def forget(self) -> int:
        """Keep nothing of what is left over; how many traces that were. Who calls this counts them."""
        count = sum([len(batch) for batch in self._batches])
        self._batches.clear()
        return count

    def deliver(self, traces: Sequence[bytes], pause: Pause) -> bool:
        """Send encoded traces, each at most MAX_TRACE bytes, after those left over; whether the collector took all.

        Every one is counted, but for those that are left over when `pause` says not to go on.
        """
        self._batches.extend(batches(traces))
        all_taken, wait = True, _FIRST_WAIT
        while self._batches:
            outcome = self._try(self._batches[0])
            if isinstance(outcome, Sent):
                self._counters.sent(len(self._batches.popleft()))
                wait = _FIRST_WAIT
            elif isinstance(outcome, Refused):
                all_taken = self._refused(self._batches.popleft(), outcome) and all_taken
            elif not self._outlast(outcome, wait, pause):
                return False
            else:
                wait = min(wait * 2, _LONGEST_WAIT)
        return all_taken

    def deliver_aggregates(self, document: bytes) -> Outcome:
        """Send what was counted, once. Who calls this counts what becomes of it."""
        outcome = self._connection.send_aggregates(document)
        if isinstance(outcome, TryLater):
            self.failures += 1
        self._note(outcome)
        return outcome

    def _try(self, batch: Sequence[bytes]) -> Outcome:
        outcome = self._connection.send(b"[" + b",".join(batch) + b"]")
        self._note(outcome)
        return outcome

    def _outlast(self, outcome: TryLater, wait: float, pause: Pause) -> bool:
        """Wait until it is worth while to send the batch again: whoever gave no answer is asked a small thing first."""
        while True:
            self.failures += 1
            least = outcome.after if outcome.after is not None else wait
            if not pause(least * _chance.uniform(1.0, 1.3)):
                return False
            if outcome.answered or self._connection.answers():
                self._counters.add("retried")
                return True
            wait = min(wait * 2, _LONGEST_WAIT)

    def _refused(self, batch: Sequence[bytes], outcome: Refused) -> bool:
        """Drop what is refused; but of a batch that is too large, try the halves. Whether nothing is dropped."""
        if outcome.status == 413 and len(batch) > 1:
            half = len(batch) // 2
            self._batches.extendleft((batch[half:], batch[:half]))
            return True
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
            if state == "ok" and self._on_return is not None:
                self._on_return()

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
