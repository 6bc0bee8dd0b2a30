"""The way out of the request: a put in the request thread, everything else in one worker thread a process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from opentelemetry.sdk.trace import ReadableSpan

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.counters import Counters, Stats
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange, abandoned, close_abandoned
from metlo_otel.core.guard import Guard
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings
from metlo_otel.core.turns import Turns
from metlo_otel.export.delivery import Pause
from metlo_otel.export.ending import AT_EXIT, ending
from metlo_otel.export.forking import renew_after_fork
from metlo_otel.export.losses import Losses
from metlo_otel.export.metrics import Meters
from metlo_otel.export.queue import ExchangeQueue
from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.watch import Watch
from metlo_otel.reading.record import read_exchange

EVERY = 1.0  # seconds between two batches that are not full
_SOON = 0.05  # seconds before a batch that follows a quiet second; then twice as long each time, up to EVERY
FULL = 512  # exchanges a batch
_FULL_BYTES = 1024 * 1024  # of memory: a batch's JSON stays below the collector's limit as a rule
_HOPELESS = 0.75  # seconds without an answer after which the process's end no longer waits for it
_AT_LEAST = 0.25  # seconds that the end gives an answer that is due
_AT_LAST = 0.05  # seconds that the end gives the worker to leave
_LOOK = 0.02  # seconds between two looks at that
_AT_FORK = 0.5  # seconds that a fork waits for the worker to end
_AT_FORK_IN_AN_IMPORT = 10.0  # the same while it imports a module, which ends by itself
_AGAIN = 1.0  # seconds before a worker that died is started again

_meters = Meters()  # the meter provider is the process's too
renew_after_fork(_meters)


class Configured(Protocol):
    """Holds the configuration in force."""

    @property
    def current(self) -> AgentConfig:
        """The configuration in force."""

    fetched: bool
    kept: bool


class Exporter(Protocol):
    """What the worker needs of the sender."""

    counters: Counters
    guard: Guard

    @property
    def remote(self) -> Configured:
        """The configuration."""

    @property
    def unfinished(self) -> bool:
        """Whether something is left over to deliver."""

    @property
    def failures(self) -> int:
        """How often the collector took nothing."""

    @property
    def asking_since(self) -> float | None:
        """When a call to the collector or backend began that goes on, by time.monotonic()."""

    def refresh_if_due(self) -> None:
        """Fetch the configuration when it is time to."""

    def span(self, record: Record) -> ExchangeSpan | None:
        """The span of a record; None where nothing but a suspicion had it told of, which came to nothing."""

    def deliver(self, spans: Sequence[ReadableSpan], pause: Pause) -> bool:
        """Send the spans, after what is left over."""

    @property
    def uncounted(self) -> bool:
        """Whether there is anything in aggregates that is not sent yet."""

    def send_aggregates(self) -> bool:
        """Send what was counted; whether nothing of it is left over."""

    def give_up_aggregates(self) -> None:
        """Count what was counted and is not sent as dropped."""

    def let_go(self) -> None:
        """A held exchange is told of by aggregates alone."""

    def forget(self) -> int:
        """Keep nothing of what is left over; how many traces that were."""

    def interrupt(self) -> bool:
        """Have a call that waits for an answer fail now; whether it may be. For another thread."""

    def shutdown(self) -> None:
        """Close the connections."""


class Pipeline:
    """Takes closed exchanges and sees to it that their traces reach the collector.

    The worker starts with start(), or the first put. It ends for a fork, by shutdown() or retire(), or dies of what
    nobody thought of; in a process that goes on the next start() or put starts another one. `prepare` imports what it
    is going to need, as its first step; with `turns` it lets requests go first, unless it falls behind.
    """

    def __init__(
        self,
        settings: Settings,
        exporter: Exporter,
        tick: Callable[[], None] | None = None,
        watch: Watch | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._watch = watch
        self._turns = turns or Turns()
        self.prepare: Callable[[], None] = _nothing
        self._settings = settings
        self._tick = tick
        self._exporter = exporter
        self.counters = exporter.counters
        most, most_bytes = settings.max_queue_exchanges, settings.max_queue_bytes
        self._queue = ExchangeQueue(self.counters, most, most_bytes, batch=(FULL, _FULL_BYTES))
        self._queue.also = lambda: exporter.uncounted
        self._closed, self._retired = settings.disabled, False
        self._begin()
        renew_after_fork(self)
        _meters.observe(self)
        ending.watch(self)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._may_start = deque([None])  # who takes it out starts the worker: one step, which needs no lock
        self._not_before = 0.0
        self.idle = True  # whether this process has no worker now
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._give_up = self._closed
        self._parking = self._importing = False
        self._losses = Losses(self.counters, self._exporter.guard.log)
        self._kept_up = 0.0
        self._gather = _SOON
        known = self._exporter.remote.fetched or self._exporter.remote.kept
        self.awaits_rules = not (known or self._closed) and self._settings.first_rules_wait > 0
        self._rules_by: float | None = None
        self._rules = threading.Event()  # whether they are here, or known not to come soon

    def after_fork(self) -> None:
        """Begin anew in a forked process, with nothing that the parent is going to send."""
        self._queue.clear()
        if self._watch is not None:
            self._watch.forget()
        abandoned.clear()
        self._begin()

    def before_fork(self) -> None:
        """Have no thread while the process forks: the child would have its locks, held for ever, and not the thread."""
        self._parking = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._wake.set()
            self._hurry.set()
            self._exporter.guard.run(self._join, thread)

    def _join(self, thread: threading.Thread) -> None:
        """Wait for the worker to end, not for long: who hangs then is not waited for, but told that it is over. But for
        a module that it imports: there the child would find the module's lock held for ever.
        """
        began = time.monotonic()
        by = began + _AT_FORK
        told = False
        while thread.is_alive():
            now = time.monotonic()
            if self._importing:
                by = now + _AT_FORK  # from its end on nothing else was waited for
            if now >= min(by, began + _AT_FORK_IN_AN_IMPORT):
                if told or not self._exporter.interrupt():
                    return
                told, by = True, now + _AT_FORK
            thread.join(_LOOK)
        if thread.native_id != threading.get_native_id():  # which it is for a greenlet
            _wait_for_end(thread.native_id, time.monotonic() + _AT_FORK)

    def after_fork_in_parent(self) -> None:
        """The next start() or put starts a worker: one that started here would be there when Python looks for one."""
        self._parking = False

    @property
    def config(self) -> AgentConfig:
        """The agent-config in force."""
        return self._exporter.remote.current

    def put(self, exchange: Exchange) -> None:
        """Hand over a closed exchange, which nobody changes any more. Never waits, never raises."""
        try:
            if exchange.verdict.blocked:
                self.counters.add("blocked")
            if not exchange.captured:
                return
            if self._closed:
                self._queue.turn_away("closed")
                return
            watch = self._watch
            told: bool | str = watch.tells(exchange) if watch is not None and watch.counts else True
            if told is True:
                self._line_up(exchange)
            elif told:
                self._queue.turn_away(told)
            if watch is not None and watch.due:
                self._look()
            if self.idle:
                self.start()
            if self._closed:  # since it was looked at
                self._drop_waiting()
        except Exception as problem:  # noqa: BLE001 - called in the request thread, after the app's own work
            self._exporter.guard.failed(self.put, problem)
            self._queue.turn_away("failed")

    def _line_up(self, exchange: Exchange) -> None:
        if self._queue.put(exchange) and not self._wake.is_set():
            self._wake.set()

    def _look(self) -> None:
        """Have searched what waits for that; what is suspected waits to be told of."""
        if self._watch is not None:
            for exchange in self._watch.look():
                self._line_up(exchange)

    def turn_away(self, exchange: Exchange) -> None:
        """As put() after the end: nothing is sent any more."""
        if exchange.captured:
            self._queue.turn_away("closed")

    def start(self) -> None:
        """Start the worker, unless it runs: it fetches the configuration at once. Never waits for it, never raises."""
        if not self.idle or self._closed or self._parking or time.monotonic() < self._not_before:
            return
        with suppress(IndexError):  # another thread is starting it
            token = self._may_start.pop()
            thread = threading.Thread(target=self._run, name="metlo-otel", daemon=True)
            self._thread, self.idle, self._importing = thread, False, True
            try:
                thread.start()
            except Exception as problem:  # noqa: BLE001 - the process is ending, or may not have another thread now
                self._not_before = time.monotonic() + _AGAIN
                self._thread, self.idle = None, True
                self._may_start.append(token)
                self._exporter.guard.failed(self.start, problem)

    def wait_for_rules(self) -> None:
        """Wait until the configuration is in force or cannot be had, FIRST_RULES_WAIT seconds after the first call."""
        self._rules.wait(self.rules_due())
        self.awaits_rules = False

    def rules_due(self) -> float:
        """Start the worker; seconds for which a request may wait for the configuration now, 0 when it should not."""
        self.start()
        now = time.monotonic()
        if self._rules_by is None:
            self._rules_by = now + self._settings.first_rules_wait
        left = self._rules_by - now
        if left <= 0 or self._rules.is_set() or self.idle:
            self.awaits_rules = False
            return 0.0
        return left

    def flush(self, seconds: float) -> bool:
        """Have everything sent that was put, within so many seconds; whether it was, or given up as refused."""
        deadline = time.monotonic() + seconds
        self.hurry()
        return self._queue.wait_empty(deadline if not self.idle else 0.0)

    def hurry(self) -> None:
        """Have what waits sent at once."""
        close_abandoned()
        self._exporter.guard.run(self._look)
        if self._queue.waiting or self._exporter.unfinished or self._exporter.uncounted:
            self.start()
        self._hurry.set()
        self._wake.set()

    def finish(self, deadline: float) -> bool:
        """Wait until all is sent, as far as there is hope for it before `deadline`; the log says what is not."""
        began, failures = time.monotonic(), self._exporter.failures
        sent = self._queue.wait_empty(0.0)
        while not (sent or self.idle or self._exporter.failures > failures or self._is_hopeless(began, deadline)):
            sent = self._queue.wait_empty(min(deadline, time.monotonic() + _LOOK))
        if not sent:
            self._exporter.guard.run(self._losses.tell_all, self.stats().queue_items)
        return sent

    def _is_hopeless(self, began: float, deadline: float) -> bool:
        now, asking = time.monotonic(), self._exporter.asking_since
        unanswered = asking is not None and now - asking >= _HOPELESS and now - began >= _AT_LEAST
        return unanswered or now >= deadline

    def shutdown(self, seconds: float = AT_EXIT) -> bool:
        """Flush, then stop: what is put from now on is dropped. Whether all was sent in time; the log says what not."""
        deadline = time.monotonic() + seconds
        sent = self.flush(seconds)
        thread = self._stop()
        if thread is not None:
            thread.join(max(deadline - time.monotonic(), 0.05))
        self.close()
        return sent

    def _stop(self) -> threading.Thread | None:
        self._closed = self._give_up = True
        self._hurry.set()
        self._wake.set()
        return self._thread

    def close(self) -> None:
        """Stop: what waits and what is on its way is dropped, and the log says so."""
        thread = self._stop()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_AT_LAST)  # so that the interpreter does not end around it, as a rule
        self._drop_waiting()
        self._exporter.give_up_aggregates()
        self.counters.lose("undelivered", ended=True)
        self._exporter.shutdown()
        self._exporter.guard.run(self._losses.tell_all)

    def _drop_waiting(self) -> None:
        self._exporter.guard.run(self._look)
        self.counters.refuse("undelivered", self._queue.drain())

    def retire(self) -> None:
        """Nobody uses this any more: the worker sends what waits and ends, within a second or so. Takes no lock."""
        self._retired = True

    def stats(self) -> Stats:
        """The numbers now."""
        self._exporter.guard.run(self._look)
        return self.counters.stats(self._queue.bytes)

    def _run(self) -> None:
        """The worker: what it does must not appear in anybody's traces."""
        try:
            if self._parking:  # a fork has begun since it was to start
                return
            ending.watch_child()
            from opentelemetry.instrumentation.utils import suppress_instrumentation  # which imports asyncio and ssl

            import metlo_otel.export.client  # noqa: F401 - so that no import is under way later

            self._importing = False
            with suppress_instrumentation():
                self._work()
        except BaseException as problem:  # noqa: BLE001 - gevent's GreenletExit, SystemExit, what others throw in
            self._died(problem)
        finally:
            self._importing = False
            self._thread, self.idle = None, True
            self._may_start.append(None)

    def _work(self) -> None:
        if not self._stops:
            self._exporter.guard.run(self._keep_up)  # the rules first: requests may wait for them
        self._importing = True  # said before it is asked for: a fork that has begun either sees it or is seen
        if not self._stops:
            self._exporter.guard.run(self.prepare)
        self._importing = False
        while not self._stops:
            if self._retired:
                self._hurry.set()
            self._exporter.guard.run(self._round)
            if self._retired and (self._exporter.unfinished or not self._queue.waiting):
                self._exporter.send_aggregates()
                self.close()
            elif not self._stops:
                self._wait()
            self._wake.clear()

    def _wait(self) -> None:
        """Until a second is over, a batch is full, or others have had the time to join the first that waits.

        Many servers end at once, without a word to us: so little waits, but where requests follow each other closely.
        """
        if not self._wake.wait(EVERY):
            self._gather = _SOON
            return
        self._wake.clear()
        if not (self._stops or self._hurry.is_set() or self._is_full()):
            self._wake.wait(self._gather)
            self._gather = min(self._gather * 2, EVERY)

    @property
    def _stops(self) -> bool:
        return self._give_up or self._parking

    def _died(self, problem: BaseException) -> None:
        self._not_before = time.monotonic() + _AGAIN
        self._exporter.forget()
        lost = self.counters.lose("worker_died")
        self._queue.done()
        text = f"the worker ended by {type(problem).__name__}; {lost} exchanges that it held are lost; it starts again"
        self._exporter.guard.log.say(logging.ERROR, "worker:died", text)

    def _round(self) -> None:
        """Send a batch, and more only while there are full ones or somebody waits for the end."""
        began = time.thread_time()
        self._keep_up()
        try:
            if not self._exporter.unfinished:
                self._exporter.send_aggregates()
            while not self._stops:
                if not self._exporter.unfinished and not self._queue.waiting:
                    if self._hurry.is_set():
                        self._exporter.send_aggregates()
                    self._hurry.clear()
                    self._queue.done()
                    break
                spans = () if self._exporter.unfinished else self._take()
                if not self._deliver(spans) or not (self._hurry.is_set() or self._is_full()):
                    break
                if time.monotonic() - self._kept_up >= EVERY:  # rules do not wait for all that waits
                    self._keep_up()
                    self._exporter.send_aggregates()
        finally:
            self.counters.spend(time.thread_time() - began)

    def _keep_up(self) -> None:
        """What is due every second: the configuration, the rules file, long streams, exchanges without an end."""
        self._kept_up = time.monotonic()
        guard = self._exporter.guard
        guard.run(self._exporter.refresh_if_due)
        self.awaits_rules = False
        self._rules.set()
        if self._watch is not None:
            self._watch.tick()
        if self._tick is not None:
            guard.run(self._tick)
        guard.run(close_abandoned)
        guard.run(self._look)
        guard.run(self._losses.tell_full)

    def _is_full(self) -> bool:
        return len(self._queue) >= FULL or self._queue.bytes >= _FULL_BYTES

    def _take(self) -> Sequence[ReadableSpan]:
        """A batch from the queue, read and examined."""
        exchanges = self._queue.take(FULL, _FULL_BYTES)
        exchanges.reverse()
        spans = []
        while exchanges and not self._parking:  # taken off one by one: the sending may take long
            span = self._span(exchanges.pop())
            if span is not None:
                spans.append(span)
        self._queue.put_back(exchanges)
        return spans

    def _deliver(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send these and what is left over; whether nothing is left over now."""
        try:
            self._exporter.deliver(spans, self._pause)
        except Exception as problem:  # noqa: BLE001 - the worker outlives whatever a batch does to it
            self._exporter.guard.failed(self._deliver, problem)
            self._exporter.forget()
            self.counters.lose("failed")
        if self._exporter.unfinished:
            return False
        self._queue.done()
        return True

    def _span(self, exchange: Exchange) -> ExchangeSpan | None:
        reading = current_exchange.set(exchange)  # what is logged meanwhile is about it
        if exchange.deciding:
            _meters.decided(exchange.deciding / 1e9)
        try:
            span = self._exporter.span(read_exchange(exchange, self._settings, self._exporter.guard))
            if span is None:
                self._exporter.let_go()
                return None
            if span.record.incomplete:
                self.counters.leave(span.record.incomplete)
            return span
        except Exception as problem:  # noqa: BLE001 - one exchange that cannot be read must not cost the others
            self._exporter.guard.failed(read_exchange, problem)
            self.counters.drop("failed")
            return None
        finally:
            current_exchange.reset(reading)
            self._turns.behind = len(self._queue) >= FULL or self._hurry.is_set()
            self._turns()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try, not when somebody wants the queue flushed now; what is due meanwhile is done."""
        until = time.monotonic() + seconds
        while not self._stops and (left := until - time.monotonic()) > 0:
            self._keep_up()
            if self._hurry.wait(min(left, EVERY)):
                self._hurry.clear()
                break
        return not (self._stops or self._retired)


def _nothing() -> None:
    pass


def _wait_for_end(native_id: int | None, deadline: float) -> None:
    """Wait for the operating system's thread, which ends a little later: Python counts these after a fork."""
    while os.path.exists(f"/proc/self/task/{native_id}") and time.monotonic() < deadline:
        time.sleep(0)
