"""Where batches go by OTLP, beside a Metlo collector or in its place. Everything here runs in the worker."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.aggregates import Aggregates, Taken
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.core.settings import Settings
from metlo_otel.core.tracing import joined
from metlo_otel.export.release import Release
from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.wire import sendable_path

if TYPE_CHECKING:
    from metlo_otel.export.otlp.exporting import Exporting

_EVERY = 60.0  # seconds between two sendings of metrics, where OTEL_METRIC_EXPORT_INTERVAL does not say


class OtlpSink:
    """Tells OTLP receivers of findings, requests and counts. For one thread at a time.

    The exporters are made at the first call, as the HTTP client is: they import `ssl`. A batch that they cannot
    deliver within their own time limit is not kept.
    """

    def __init__(self, settings: Settings, log: RateLimitedLog, config: Callable[[], AgentConfig]) -> None:
        # It starts a thread while it is imported, which Python refuses once the process ends; it imports no `ssl`.
        import opentelemetry.sdk._logs.export  # noqa: F401

        self._settings = settings
        self._log = log
        self._config = config
        self._release = config(), Release(config(), settings)
        self._every = _interval()
        self.asking_since: float | None = None
        self.renew()

    def renew(self) -> None:
        """Begin with new exporters and counts: those of a forked process's parent are its own."""
        self._exporting: Exporting | None = None
        self._failed = False
        self._counted = Aggregates()
        self._began = time.time_ns()
        self._due = time.monotonic() + self._every

    def prepare(self) -> None:
        """Make the exporters: at the process's end it is too late to import them."""
        self._open()

    def tell(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send what was found in these exchanges, and those that no span of the app's own tells of; whether all of it
        was taken.
        """
        some = [span for span in spans if isinstance(span, ExchangeSpan) and not self._is_withheld(span)]
        if not some:
            return True
        exporting = self._open()
        told = exporting.log_records(some)
        own = [exporting.span(span) for span in some if not _has_own(span)]
        exporting.exemplars.note(some)
        return self._send(exporting.logs, told) & self._send(exporting.traces, own)

    def count(self, taken: Taken) -> None:
        """Count what was taken of the aggregates; it is sent once in an interval."""
        self._counted.put_back(taken)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            self.send_counts()

    def send_counts(self, at_the_end: bool = False) -> None:
        """Send what was counted so far."""
        taken, now = self._counted.take(), time.time_ns()
        if not taken.series:
            return
        exporting = self._open()
        export = exporting.last_metrics if at_the_end else exporting.metrics
        sent = self._send(export, exporting.metrics_data(taken, self._began, now))
        if sent and exporting.delta:
            self._began = now
        else:
            self._counted.put_back(taken)

    def close(self) -> None:
        """Send the last counts, unless that would hold up the process's end in vain, and close the connections."""
        if self._exporting is not None:
            if self.asking_since is None and not self._failed:
                self.send_counts(at_the_end=True)
            self._exporting.shutdown()
        self.renew()

    def _open(self) -> Exporting:
        if self._exporting is None:
            from metlo_otel.export.otlp.exporting import Exporting

            self._exporting = Exporting(self._settings, str(uuid.uuid4()))
        return self._exporting

    def _send(self, export: Callable[[Any], bool], batch: Any) -> bool:
        if isinstance(batch, list) and not batch:
            return True
        self.asking_since = time.monotonic()
        try:
            taken = export(batch)
        finally:
            self.asking_since = None
        self._failed = not taken
        if not taken:
            text = "the OTLP receiver did not take a batch, which is lost; check OTEL_EXPORTER_OTLP_ENDPOINT"
            self._log.say(logging.WARNING, "otlp:failed", text)
        return taken

    def _is_withheld(self, span: ExchangeSpan) -> bool:
        config = self._config()
        if self._release[0] is not config:
            self._release = config, Release(config, self._settings)
        return bool(self._release[1].withheld(span.record, sendable_path(span.record.path)))


def _has_own(span: ExchangeSpan) -> bool:
    """Whether the app has a span of its own for the exchange, which its own SDK exports."""
    return span.record.exchange_id is not None or (span.context is not None and span.context in joined)


def _interval() -> float:
    try:
        return max(float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")) / 1000, 1.0)
    except ValueError:
        return _EVERY
