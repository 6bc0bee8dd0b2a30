"""OpenTelemetry's own exporters, by OTEL_EXPORTER_OTLP_PROTOCOL, and what they are handed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from metlo_otel.core.aggregates import Taken
from metlo_otel.core.settings import Settings
from metlo_otel.export.otlp.events import Event, Events
from metlo_otel.export.otlp.exemplars import Exemplars
from metlo_otel.export.otlp.outline import attributes_of, kept, outline
from metlo_otel.export.otlp.sums import metrics_of
from metlo_otel.export.spans import ExchangeSpan

_SCOPE = InstrumentationScope("metlo_otel")
_METRICS = "metric_exporter", "OTLPMetricExporter"
_AT_THE_END = 1  # seconds
_TIMEOUT = 5  # seconds for one batch, unless OTEL_EXPORTER_OTLP_TIMEOUT says


class Exporting:
    """Exporters of one process and one configuration of the environment."""

    def __init__(self, settings: Settings, instance: str) -> None:
        self.delta = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").lower() == "delta"
        self._resource = _resource(settings, instance)
        self._keep = kept(settings.span_attributes)
        self._events = Events()
        self.exemplars = Exemplars()
        self._traces, self._logs, self._metrics = _exporters()

    def traces(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send spans; whether they were taken."""
        return bool(self._traces.export(spans) is SpanExportResult.SUCCESS)

    def logs(self, records: Sequence[ReadableLogRecord]) -> bool:
        """Send log records; whether they were taken."""
        return bool(self._logs.export(records) is LogRecordExportResult.SUCCESS)

    def metrics(self, data: MetricsData) -> bool:
        """Send metrics; whether they were taken."""
        return bool(self._metrics.export(data) is MetricExportResult.SUCCESS)

    def last_metrics(self, data: MetricsData) -> bool:
        """The same at the process's end, which does not wait for long."""
        exporter = _exporter("metrics", *_METRICS, timeout=_AT_THE_END)
        try:
            return bool(exporter.export(data) is MetricExportResult.SUCCESS)
        finally:
            exporter.shutdown()

    def shutdown(self) -> None:
        """Close the connections."""
        for each in (self._traces, self._logs, self._metrics):
            each.shutdown()

    def span(self, span: ExchangeSpan) -> ReadableSpan:
        """The span of an exchange as it leaves."""
        return outline(span, attributes_of(span, self._keep), self._resource)

    def log_records(self, spans: Sequence[ExchangeSpan]) -> list[ReadableLogRecord]:
        """A log record for each finding, in the trace of its request."""
        return [self._log_record(span, event) for span in spans for event in self._events.of(span)]

    def metrics_data(self, taken: Taken, began: int, now: int) -> MetricsData:
        """The metrics of what was counted, each with a trace of the interval, if there is one."""
        made = metrics_of(taken, (began, now), self._resource, self.delta, self.exemplars)
        self.exemplars.clear()
        return made

    def _log_record(self, span: ExchangeSpan, event: Event) -> ReadableLogRecord:
        given = {name: value for name, value in event.attributes.items() if value is not None}
        current = trace.NonRecordingSpan(span.context) if span.context else trace.INVALID_SPAN
        record = LogRecord(
            timestamp=span.end_time or time.time_ns(),
            observed_timestamp=time.time_ns(),
            context=trace.set_span_in_context(current, Context()),
            severity_number=event.severity,
            severity_text=event.severity.name,
            body=event.text,
            attributes={**attributes_of(span, self._keep), **given},
            event_name=event.name,
        )
        return ReadableLogRecord(record, self._resource, _SCOPE)


def _resource(settings: Settings, instance: str) -> Resource:
    """As Resource.create() makes it, which starts threads: at the process's end none can be. Each process, an
    `instance`, counts its own. The settings heed OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES already.
    """
    about = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        "service.instance.id": instance,
        "service.name": "unknown_service",
    }
    found = {"deployment.environment.name": settings.environment}
    if settings.service_name:
        found["service.name"] = settings.service_name
    return Resource(about).merge(OTELResourceDetector().detect()).merge(Resource(found))


def _exporters() -> tuple[Any, Any, Any]:
    """Those of traces, logs and metrics, each by its own variable or the common one."""
    return (
        _exporter("traces", "trace_exporter", "OTLPSpanExporter"),
        _exporter("logs", "_log_exporter", "OTLPLogExporter"),
        _exporter("metrics", *_METRICS),
    )


def _exporter(signal: str, module: str, name: str, timeout: int | None = None) -> Any:
    from importlib import import_module

    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_", "OTEL_EXPORTER_OTLP_"
    protocol = os.environ.get(own + "PROTOCOL") or os.environ.get(common + "PROTOCOL") or "http/protobuf"
    package = "grpc" if protocol == "grpc" else "http"
    made = getattr(import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}"), name)
    if timeout is None and not any(os.environ.get(each + "TIMEOUT") for each in (own, common)):
        timeout = _TIMEOUT
    return made() if timeout is None else made(timeout=timeout)
