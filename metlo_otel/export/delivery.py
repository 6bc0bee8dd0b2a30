"""Encoded traces, brought to the collector in batches, retried as long as somebody has the patience."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from metlo_otel.core.counters import Counters
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.export.connection import Connection
from metlo_otel.export.outcome import Outcome, Refused, Sent, TryLater

MAX_BATCH = 2_097_152  # bytes of JSON that the collector takes
MAX_TRACE = MAX_BATCH - 2
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 1.5  # with the time that a probe takes, a collector that is back is found within five seconds
_TOLD_AFTER = 10.0  # seconds of an outage before the log says so; it does at once where no batch was ever answered
_chance = random.SystemRandom()  # jitter must not take numbers from the app's own, perhaps seeded, random

Pause = Callable[[float], bool]
"""Waits so many seconds, or less, and says whether to go on."""


class Delivery:
    """Sends batches one at a time. The log says once that the collector takes none, and that it does again.

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
        self._said = "ok"
        self._known = False  # whether a batch was ever taken, or refused
        self._since: float | None = None  # when an outage began that goes on, by time.monotonic()
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
            self._note(outcome)
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
        if isinstance(outcome, TryLater):
            self._outage(outcome.why)
            return
        back, self._since, self._known = self._since is not None, None, True
        if isinstance(outcome, Refused):
            what = "check API_KEY; " if outcome.status in (401, 403) else ""
            self._say(f"status {outcome.status}", f"{what}the traces are dropped")
            return
        if self._said != "ok":
            self._said, back = "ok", True
            self._log.say(logging.INFO, "delivery:ok", f"the collector at {self._where} takes traces again")
        if back and self._on_return is not None:
            self._on_return()

    def _outage(self, why: str) -> None:
        """Say so once, when it lasts; at once where the collector may never have been there."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if not self._known or now - self._since >= _TOLD_AFTER:
            self._say(why, "this is tried again; the app goes on", "outage")

    def _say(self, why: str, what: str, state: str = "") -> None:
        if self._said == (state or why):
            return
        self._said = state or why
        self._log.say(
            logging.WARNING, "delivery:failed", f"the collector at {self._where} takes no traces: {why}; {what}"
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
