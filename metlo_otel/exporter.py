"""The span exporter for Metlo: put it into any OpenTelemetry span processor; our own worker uses it too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from metlo_otel.blocking.cache import open_cache
from metlo_otel.blocking.remote import RemoteConfiguration
from metlo_otel.core.agent_config import AgentConfig, Served
from metlo_otel.core.aggregates import Aggregates, document
from metlo_otel.core.counters import Counters, Stats
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.core.tracing import is_reported, joined
from metlo_otel.core.turns import Turns
from metlo_otel.export.connection import Connection
from metlo_otel.export.delivery import Delivery, Pause
from metlo_otel.export.forking import renew_after_fork
from metlo_otel.export.otlp.sink import OtlpSink
from metlo_otel.export.outcome import Outcome, Sent, TryLater
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.tracing import Seams, Tracing
from metlo_otel.export.watch import Suspects, SuspectsAmong, Watch
from metlo_otel.export.wire import UnsendableError, encode

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metlo_otel.core.options import Options

_SUMS_AGAIN = 2.0  # seconds after which aggregates that were not taken are sent again
_EXPORT_SECONDS = 10.0  # how long export() tries in somebody else's processor


class Sender:
    """From records to spans to the collector, by the configuration in force. For one thread at a time."""

    def __init__(
        self,
        settings: Settings,
        log: RateLimitedLog,
        seams: Seams | None = None,
        on_change: Callable[[AgentConfig], None] | None = None,
        aggregates: Aggregates | None = None,
    ) -> None:
        self._settings = settings
        self.aggregates = aggregates or Aggregates()
        self.counters = Counters(lambda: self.aggregates.alone)
        self._began = time.time_ns()
        self._sums_not_before = 0.0
        self._sums_outcome: Outcome = Sent()
        self.guard = Guard(log)
        self._connection = Connection(settings)
        warn = _warner(log)
        self._has_metlo = "metlo" in settings.export
        cache = open_cache(settings, warn) if self._has_metlo else None
        fetch = self._connection.get_config if self._has_metlo else _alone
        self.remote = RemoteConfiguration(fetch, warn, on_change=on_change, cache=cache)
        self._tracing = Tracing(settings, lambda: self.remote.current, seams or Seams())
        where = settings.collector_url
        self._delivery = Delivery(self._connection, self.counters, log, where, on_return=self.remote.ask_soon)
        self._otlp = OtlpSink(settings, log, lambda: self.remote.current) if "otlp" in settings.export else None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process: own connections and counts, nothing of what the parent sends."""
        self._connection.renew()
        if self._otlp is not None:
            self._otlp.renew()
        self._delivery.forget()
        self.aggregates.reset()
        self.counters.reset()
        self._sums_not_before = 0.0

    @property
    def unfinished(self) -> bool:
        """Whether something is left over, which the next deliver() begins with."""
        return self._delivery.unfinished

    @property
    def failures(self) -> int:
        """How often the collector took nothing, without refusing it."""
        return self._delivery.failures

    @property
    def asking_since(self) -> float | None:
        """When a call to the collector, the backend or an OTLP receiver began that goes on, by time.monotonic()."""
        return self._connection.asking_since or (self._otlp.asking_since if self._otlp else None)

    def refresh_if_due(self) -> None:
        """Fetch the agent-config when it is time to."""
        if self._otlp is not None:
            self.guard.run(self._otlp.prepare)
        self.remote.refresh_if_due()

    def span(self, record: Record) -> ExchangeSpan | None:
        """The span of a record: examined, then masked; None of one that was suspected of an attack and has none."""
        return self._tracing.span(record)

    def deliver(self, spans: Sequence[ReadableSpan], pause: Pause) -> bool:
        """Send the HTTP server spans among these, again after each `pause` that says so; whether all were taken."""
        told = self._tell(spans)
        if not self._has_metlo:
            return told
        traces = [trace for span in spans if _is_ours(span) and (trace := self._trace(span)) is not None]
        return self._delivery.deliver(traces, pause)

    def _tell(self, spans: Sequence[ReadableSpan]) -> bool:
        """Tell OTLP receivers, where there are any. Where there is no Metlo these are all that is told of the spans."""
        if self._otlp is None:
            return True
        told = self.guard.run(self._otlp.tell, spans) is True
        if not self._has_metlo and told:
            self.counters.sent(len(spans))
        elif not self._has_metlo:
            self.counters.drop("undelivered", len(spans))
        return told

    @property
    def uncounted(self) -> bool:
        """Whether anything was counted that the collector does not have yet."""
        return self.aggregates.waiting

    def send_aggregates(self) -> bool:
        """Send what was counted since the last time; whether it is gone. What is not taken for now waits."""
        if not self.aggregates.waiting or time.monotonic() < self._sums_not_before:
            return not self.aggregates.waiting
        taken, ended = self.aggregates.take(), time.time_ns()
        outcome = self._sums_outcome  # of calls that were in an earlier document, and turn out to have no trace
        if taken.series and self._has_metlo:
            who = self._settings.environment, self._settings.service_name
            told = document(taken, self._began // 1_000_000, ended // 1_000_000, *who)
            outcome = self._delivery.deliver_aggregates(encode(told))
        if isinstance(outcome, TryLater):
            self.aggregates.put_back(taken)
            self._sums_not_before = time.monotonic() + (outcome.after or _SUMS_AGAIN)
            return False
        self._began, self._sums_outcome = ended, outcome
        if self._otlp is not None:
            self.guard.run(self._otlp.count, taken)
        if isinstance(outcome, Sent):
            self.counters.counted(taken.alone)
        else:
            self.counters.refuse("refused", taken.alone)
        self.aggregates.settled()
        return True

    def give_up_aggregates(self) -> None:
        """Count what was counted and is not sent as dropped."""
        self.counters.refuse("undelivered", self.aggregates.take().alone)
        self.aggregates.settled()

    def let_go(self) -> None:
        """A held exchange is told of by aggregates alone."""
        self.counters.let_go()
        self.aggregates.alone_too()

    def forget(self) -> int:
        """Keep nothing of what is left over; how many traces that were. Who calls this counts them."""
        return self._delivery.forget()

    def interrupt(self) -> bool:
        """Have a call that waits for an answer fail now, if it may; whether it does. For another thread."""
        return self._connection.interrupt()

    def shutdown(self) -> None:
        """Close the connections."""
        self._connection.close()
        if self._otlp is not None:
            self.guard.run(self._otlp.close)

    def _trace(self, span: ReadableSpan) -> bytes | None:
        try:
            return self._tracing.trace(span)
        except UnsendableError as problem:
            self.counters.drop(problem.reason)
        except Exception as problem:  # noqa: BLE001 - one span that cannot be told must not cost the others
            self.guard.failed(self._tracing.trace, problem, getattr(span, "record", None))
            self.counters.drop("failed")
        return None


class MetloSpanExporter(SpanExporter):
    """Sends HTTP server spans, of old or new semantic conventions, to a Metlo collector; leaves other spans alone.

    A span whose request a Metlo middleware or hook in this process has seen is left out: that reports it, with more.

    Takes the settings of the agent, as in `MetloSpanExporter("https://app.metlo.com", "<KEY>", environment="staging")`;
    what is not given is read from METLO_<NAME>. Raises SettingsError where they are wrong.
    """

    def __init__(self, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]) -> None:
        given = {"metlo_host": host, "api_key": api_key, **options, "export": "metlo"}
        joined.watched = True
        self.settings = read_settings({name: value for name, value in given.items() if value is not None})
        self._sender = Sender(self.settings, RateLimitedLog(make_logger(self.settings.log_level)))
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._lock = threading.Lock()  # processors may export in any thread
        self._stopped = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the HTTP server spans among these; retries for ten seconds in all. FAILURE where some were not taken."""
        if self.settings.disabled or self._stopped.is_set():
            return SpanExportResult.SUCCESS if self.settings.disabled else SpanExportResult.FAILURE
        from opentelemetry.instrumentation.utils import suppress_instrumentation  # which imports asyncio and ssl

        deadline = time.monotonic() + _EXPORT_SECONDS
        with self._lock, suppress_instrumentation():
            taken = self._send(spans, lambda seconds: self._wait(seconds, deadline))
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def _send(self, spans: Sequence[ReadableSpan], pause: Pause) -> bool:
        sender = self._sender
        sender.guard.run(sender.refresh_if_due)
        taken = sender.deliver(spans, pause)
        sender.counters.refuse("undelivered", sender.forget())
        return taken

    def stats(self) -> Stats:
        """What became of the spans so far."""
        return self._sender.counters.stats()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - nothing waits here
        """True: export() keeps nothing back."""
        return True

    def shutdown(self) -> None:
        """Stop trying, close the connections."""
        self._stopped.set()
        self._sender.shutdown()

    def _wait(self, seconds: float, deadline: float) -> bool:
        left = deadline - time.monotonic()
        return seconds < left and not self._stopped.wait(seconds)


def _is_ours(span: ReadableSpan) -> bool:
    """Whether nobody else reports this span: one made from an exchange carries that exchange's id itself."""
    return isinstance(span, ExchangeSpan) or not is_reported(span)


def _alone(_etag: str | None) -> Served:
    """The configuration where no Metlo is asked for one: every request is counted, rules are the app's own."""
    return Served({"aggregates": True})


def _warner(log: RateLimitedLog) -> Callable[[str], None]:
    return lambda text: log.say(logging.WARNING, f"config:{text}", text)


def _everybody(_exchange: Exchange, _coded: bool) -> bool:
    return True


def open_pipeline(
    settings: Settings,
    log: RateLimitedLog,
    seams: Seams | None = None,
    on_change: Callable[[AgentConfig], None] | None = None,
    tick: Callable[[], None] | None = None,
    suspects: Suspects = _everybody,
    turns: Turns | None = None,
    among: SuspectsAmong | None = None,
) -> Pipeline:
    """The agent's way out: a queue, a worker and a sender. Opens no connection and starts no thread yet.

    The worker calls `tick` every second or so. `suspects` says at the close whether a request may be an attack, `among`
    whether any of several may.
    """
    aggregates = Aggregates()
    watch = Watch(settings, Guard(log), aggregates, suspects, among)

    def changed(config: AgentConfig) -> None:
        watch.configure(config)
        if on_change is not None:
            on_change(config)

    sender = Sender(settings, log, seams, changed, aggregates)
    if "metlo" not in settings.export:
        sender.remote.refresh_if_due()  # nobody is asked: it is in force from the first request on
    return Pipeline(settings, sender, tick, watch, turns)
