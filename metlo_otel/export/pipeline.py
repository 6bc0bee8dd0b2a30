"""The way out of the request: a put in the request thread, everything else in one worker thread a process."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.counters import Counters, Stats
from metlo_otel.core.exchange import Exchange, abandoned, close_abandoned
from metlo_otel.core.guard import Guard
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings
from metlo_otel.export.delivery import Pause
from metlo_otel.export.forking import renew_after_fork
from metlo_otel.export.losses import Losses
from metlo_otel.export.metrics import Meters
from metlo_otel.export.queue import ExchangeQueue
from metlo_otel.export.reading import read_exchange
from metlo_otel.export.spans import ExchangeSpan

EVERY = 1.0  # seconds between two batches that are not full
AT_EXIT = 3.0  # seconds that the process's end waits for what is left
_TURN = 0.0005  # seconds that the worker computes without letting others go first
FULL = 512  # exchanges a batch
_FULL_BYTES = 1024 * 1024  # of memory: a batch's JSON stays below the collector's limit as a rule

_meters = Meters()  # the meter provider is the process's too
renew_after_fork(_meters)


class Configured(Protocol):
    """Holds the configuration in force."""

    @property
    def current(self) -> AgentConfig:
        """The configuration in force."""


class Exporter(Protocol):
    """What the worker needs of the exporter."""

    counters: Counters
    guard: Guard

    @property
    def remote(self) -> Configured:
        """The configuration."""

    def refresh_if_due(self) -> None:
        """Fetch the configuration when it is time to."""

    def span(self, record: Record) -> ExchangeSpan:
        """The span of a record."""

    def deliver(self, spans: Sequence[ReadableSpan], pause: Pause) -> bool:
        """Send the spans."""

    def shutdown(self) -> None:
        """Close the connections."""


class Pipeline:
    """Takes closed exchanges and sees to it that their traces reach the collector."""

    def __init__(self, settings: Settings, exporter: Exporter, tick: Callable[[], None] | None = None) -> None:
        self._settings = settings
        self._tick = tick
        self._exporter = exporter
        self.counters = exporter.counters
        most, most_bytes = settings.max_queue_exchanges, settings.max_queue_bytes
        self._queue = ExchangeQueue(self.counters, most, most_bytes, batch=(FULL, _FULL_BYTES))
        self._closed = False
        self._waited = -AT_EXIT
        self._begin()
        renew_after_fork(self)
        _meters.observe(self)
        self._at_exit = _exit_hook(self)

    def _begin(self) -> None:
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.idle = True  # whether this process has no worker yet
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._give_up = False
        self._losses = Losses(self.counters, self._exporter.guard.log)
        self._yield_at = self._kept_up = 0.0

    def after_fork(self) -> None:
        """Begin anew in a forked process, with nothing that the parent is going to send."""
        self._queue.clear()
        abandoned.clear()
        self._begin()

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
                self.counters.drop("closed")
                return
            if self._queue.put(exchange) and not self._wake.is_set():
                self._wake.set()
            if self.idle:
                self.start()
        except Exception as problem:  # noqa: BLE001 - called in the request thread, after the app's own work
            self._exporter.guard.failed(self.put, problem)
            self.counters.drop("failed")

    def start(self) -> None:
        """Start the worker, unless it runs: it fetches the configuration at once. The first put does this too."""
        with self._starting:
            if self._thread is None and not self._closed and not self._settings.disabled:
                thread = threading.Thread(target=self._run, name="metlo-otel", daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:  # the process is ending, or may not have another thread now
                    self._exporter.guard.failed(self.start, problem)
                    return
                self._thread = thread
                self.idle = False

    def flush(self, seconds: float) -> bool:
        """Have everything sent that was put, within so many seconds; whether it was, or given up as refused."""
        deadline = time.monotonic() + seconds
        close_abandoned()
        if self._thread is None:
            return len(self._queue) == 0
        self._hurry.set()
        self._wake.set()
        if self._queue.wait_empty(deadline):
            return True
        self._waited = time.monotonic()
        return False

    def shutdown(self, seconds: float = AT_EXIT) -> bool:
        """Flush, then stop: what is put from now on is dropped. Whether all was sent in time; the log says what not."""
        deadline = time.monotonic() + seconds
        sent = self.flush(seconds)
        self._closed = self._give_up = True
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(max(deadline - time.monotonic(), 0.05))
        self.counters.drop("undelivered", len(self._queue))
        on_their_way = self._queue.in_flight
        self._queue.clear()
        self._exporter.shutdown()
        self._exporter.guard.run(self._losses.tell_all, on_their_way)
        return sent

    @property
    def patience(self) -> float:
        """Seconds that the process's end may wait for this: none where somebody has just waited in vain."""
        return 0.0 if time.monotonic() - self._waited < AT_EXIT else AT_EXIT

    def stats(self) -> Stats:
        """The numbers now."""
        return self.counters.stats(len(self._queue), self._queue.bytes)

    def _run(self) -> None:
        """The worker: what it does must not appear in anybody's traces."""
        with suppress_instrumentation():
            while not self._give_up:
                self._exporter.guard.run(self._round)
                self._wake.wait(EVERY)
                self._wake.clear()

    def _round(self) -> None:
        """Send a batch, and more only while there are full ones or somebody waits for the end."""
        began = time.thread_time()
        self._keep_up()
        try:
            while not self._give_up:
                exchanges = self._queue.take(FULL, _FULL_BYTES)
                if not exchanges:
                    self._hurry.clear()
                    break
                self._send(exchanges)
                if not (self._hurry.is_set() or self._is_full()):
                    break
                if time.monotonic() - self._kept_up >= EVERY:  # rules do not wait for all that waits
                    self._keep_up()
        finally:
            self._queue.done()
            self.counters.spend(time.thread_time() - began)

    def _keep_up(self) -> None:
        """What is due every second: the configuration, the rules file, long streams, exchanges without an end."""
        self._kept_up = time.monotonic()
        guard = self._exporter.guard
        guard.run(self._exporter.refresh_if_due)
        if self._tick is not None:
            guard.run(self._tick)
        guard.run(close_abandoned)
        guard.run(self._losses.tell_full)

    def _is_full(self) -> bool:
        return len(self._queue) >= FULL or self._queue.bytes >= _FULL_BYTES

    def _send(self, exchanges: list[Exchange]) -> None:
        spans = [span for exchange in exchanges if (span := self._span(exchange)) is not None]
        exchanges.clear()  # their memory, while the sending may take long
        try:
            self._exporter.deliver(spans, self._pause)
        except Exception as problem:  # noqa: BLE001 - the worker outlives whatever a batch does to it
            self._exporter.guard.failed(self._send, problem)
            self.counters.drop("failed", len(spans))
        finally:
            self._queue.done()

    def _span(self, exchange: Exchange) -> ExchangeSpan | None:
        if exchange.deciding:
            _meters.decided(exchange.deciding / 1e9)
        try:
            return self._exporter.span(read_exchange(exchange, self._settings, self._exporter.guard))
        except Exception as problem:  # noqa: BLE001 - one exchange that cannot be read must not cost the others
            self._exporter.guard.failed(read_exchange, problem)
            self.counters.drop("failed")
            return None
        finally:
            self._let_requests_go_first()

    def _let_requests_go_first(self) -> None:
        """Give the interpreter's lock away twice a millisecond; a sleep costs as much as a good part of an exchange."""
        if time.perf_counter() >= self._yield_at:
            time.sleep(0)
            self._yield_at = time.perf_counter() + _TURN

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try, not when somebody wants the queue flushed now; what is due meanwhile is done."""
        until = time.monotonic() + seconds
        while not self._give_up and (left := until - time.monotonic()) > 0:
            self._keep_up()
            if self._hurry.wait(min(left, EVERY)):
                self._hurry.clear()
                break
        return not self._give_up


class _ExitHook:
    """Flushes a pipeline at the process's end, if it still lives; one that was shut down says what came too late."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = weakref.ref(pipeline)

    def __call__(self) -> None:
        pipeline = self._pipeline()
        if pipeline is not None:
            pipeline.shutdown(pipeline.patience)


def _exit_hook(pipeline: Pipeline) -> _ExitHook:
    hook = _ExitHook(pipeline)
    atexit.register(hook)
    return hook
