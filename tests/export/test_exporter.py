"""MetloSpanExporter in anybody's tracer provider, and the agents' numbers as metrics."""

from __future__ import annotations

import gc
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind

from metlo_otel.core.settings import SettingsError
from metlo_otel.core.tracing import join
from metlo_otel.export.client import Client
from metlo_otel.export.delivery import MAX_BATCH, batches
from metlo_otel.export.metrics import Meters
from metlo_otel.export.outcome import Sent
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.exporter import MetloSpanExporter
from tests.export.conftest import KEY
from tests.export.exchanges import wsgi_exchange
from tests.export.loopback import HANG, Metlo

ATTRIBUTES: dict[str, Any] = {
    "http.request.method": "GET",
    "url.path": "/x",
    "server.address": "h",
    "http.response.status_code": 200,
}


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_any_processor_can_use_it(metlo: Metlo, processor: Callable[..., Any]) -> None:
    """Server spans of another instrumentation arrive masked, under the configuration, which it fetches itself."""
    provider = TracerProvider()
    provider.add_span_processor(processor(MetloSpanExporter(metlo.url, KEY)))
    tracer = provider.get_tracer("someone")
    headers = {"http.request.header.authorization": ("hidden",)}
    with tracer.start_as_current_span("GET /x", kind=SpanKind.SERVER, attributes={**ATTRIBUTES, **headers}) as span:
        tracer.start_span("query", kind=SpanKind.CLIENT).end()
    provider.shutdown()
    (sent,) = metlo.traces()
    assert sent["redacted"] is False
    assert sent["request"]["url"] == {"host": "h", "path": "/x", "parameters": []}
    assert sent["request"]["headers"] == [{"name": "authorization", "value": "[masked]"}]
    assert sent["meta"]["traceId"] == format(span.get_span_context().trace_id, "032x")


def test_made_while_a_request_runs(metlo: Metlo) -> None:
    """A span that was joined before there was an exporter, and may not be marked, is not reported twice either."""
    provider = TracerProvider()
    exchange = wsgi_exchange()
    exchange.marks = False
    with provider.get_tracer("someone").start_as_current_span("GET /x", kind=SpanKind.SERVER, attributes=ATTRIBUTES):
        join(exchange)
        provider.add_span_processor(SimpleSpanProcessor(MetloSpanExporter(metlo.url, KEY)))
    provider.shutdown()
    assert metlo.traces() == []


@pytest.fixture(autouse=True)
def _nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has no exporter yet."""
    monkeypatch.setattr("metlo_otel.core.tracing.joined.watched", False)


@pytest.mark.parametrize("most", [128, 5], ids=["marked", "the mark lost"])
def test_what_the_middleware_reports_is_left_out(metlo: Metlo, most: int) -> None:
    """Also where the span keeps so few attributes that the mark on it made room for later ones."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=most))
    provider.add_span_processor(SimpleSpanProcessor(MetloSpanExporter(metlo.url, KEY)))
    tracer = provider.get_tracer("someone")
    with tracer.start_as_current_span("GET /x", kind=SpanKind.SERVER):
        join(wsgi_exchange())
        trace.get_current_span().set_attributes({**ATTRIBUTES, "app.basket": 3})
    tracer.start_span("GET /y", kind=SpanKind.SERVER, attributes={**ATTRIBUTES, "url.path": "/y"}).end()
    provider.shutdown()
    assert [sent["request"]["url"]["path"] for sent in metlo.traces()] == ["/y"]


def test_export_says_whether_it_was_taken(metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """SUCCESS, or FAILURE once its time is over or it was shut down; nothing to send is a success."""
    monkeypatch.setattr("metlo_otel.exporter._EXPORT_SECONDS", 0.2)
    exporter = MetloSpanExporter(metlo.url, KEY)
    tracer = TracerProvider().get_tracer("someone")
    span: Any = tracer.start_span("x", kind=SpanKind.SERVER, attributes=ATTRIBUTES)
    other: Any = tracer.start_span("y")
    assert exporter.export([other]) is SpanExportResult.SUCCESS
    assert exporter.export([span, other]) is SpanExportResult.SUCCESS
    metlo.always = (503, {}, b"")
    assert exporter.export([span]) is SpanExportResult.FAILURE
    assert exporter.force_flush()
    assert dict(exporter.stats().dropped) == {"undelivered": 1}
    exporter.shutdown()
    assert exporter.export([span]) is SpanExportResult.FAILURE


def test_settings_come_from_the_environment_too(metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named in OTEL_TRACES_EXPORTER it is made without arguments; wrong settings are one readable error."""
    monkeypatch.setenv("METLO_HOST", metlo.url)
    monkeypatch.setenv("METLO_KEY", KEY)
    assert MetloSpanExporter().settings.api_key == KEY
    with pytest.raises(SettingsError, match=re.escape("METLO_HOTS")):
        MetloSpanExporter(METLO_HOTS="x")  # type: ignore[call-arg]  # the mistake


def test_disabled_it_does_nothing(metlo: Metlo) -> None:
    """No connection at all."""
    exporter = MetloSpanExporter(disabled=True)
    assert exporter.export([]) is SpanExportResult.SUCCESS
    assert metlo.connections == 0


def test_shutdown_ends_a_retry(metlo: Metlo) -> None:
    """An export that waits for its next try ends when the exporter is shut down."""
    metlo.always = (503, {"Retry-After": "5"}, b"")
    exporter = MetloSpanExporter(metlo.url, KEY)
    span: Any = TracerProvider().get_tracer("x").start_span("x", kind=SpanKind.SERVER, attributes=ATTRIBUTES)
    found: list[SpanExportResult] = []
    thread = threading.Thread(target=lambda: found.append(exporter.export([span])))
    thread.start()
    assert metlo.tried.acquire(timeout=5)
    exporter.shutdown()
    thread.join(4)
    assert found == [SpanExportResult.FAILURE]


def test_a_huge_answer_is_not_read(metlo: Metlo, settings: Any) -> None:
    """Whatever the collector says after its status: a batch it took is sent, and nothing of it is kept."""
    metlo.always = (200, {"Content-Length": str(10**9)}, b"x" * 100_000)
    assert isinstance(Client(settings()).send(b"[]"), Sent)


def test_no_surprises_from_the_environment(
    metlo: Metlo, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Neither a proxy nor a .netrc gets between us and a collector on this machine."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert isinstance(Client(settings()).send(b"[]"), Sent)
    assert metlo.headers[0]["Authorization"] == KEY


def test_the_key_is_in_no_repr(settings: Any, pipeline: Any) -> None:
    """Printing what we are made of shows no secret."""
    way = pipeline()
    assert KEY not in repr((settings(), way, way._exporter, vars(way._exporter), way.stats()))


def test_batches_fit() -> None:
    """No batch is over the collector's limit, none is empty, all traces are in one, in order."""
    traces = [b"x" * size for size in (1, MAX_BATCH - 2, 10, MAX_BATCH // 2, MAX_BATCH // 2, 5)]
    found = list(batches(traces))
    assert [trace for batch in found for trace in batch] == traces
    assert all(len(b"[" + b",".join(batch) + b"]") <= MAX_BATCH for batch in found)
    assert not list(batches([]))


def collected(reader: InMemoryMetricReader) -> dict[tuple[str, Any], float]:
    """All metrics by name and attributes."""
    data = reader.get_metrics_data()
    return {
        (metric.name, tuple((point.attributes or {}).values())): point.value
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    }


def test_metrics_of_several_agents(
    pipeline: Callable[..., Pipeline], metlo: Metlo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One sum over all agents of the process, those that are gone included, read only when somebody collects."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", lambda *args: provider.get_meter(*args))
    meters = Meters()
    first, second = pipeline(), pipeline()
    for way in (first, second):
        meters.observe(way)
        way.put(wsgi_exchange())
        assert way.flush(10)
    second.put(wsgi_exchange(REQUEST_METHOD="PURGE"))
    assert second.flush(10)
    found = collected(reader)
    assert found["metlo.exchange.captured", ()] == 3
    assert found["metlo.exchange.sent", ()] == 2
    assert found["metlo.exchange.dropped", ("method",)] == 1
    assert found["metlo.queue.size", ()] == found["metlo.queue.bytes", ()] == 0
    assert found["metlo.worker.cpu_time", ()] > 0
    gone = Pipeline(first._settings, MetloSpanExporter(metlo.url, KEY)._sender)
    meters.observe(gone)
    gone.counters.add("sent", 40)
    del gone
    gc.collect()
    assert collected(reader)["metlo.exchange.sent", ()] == 42
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    provider.shutdown()


def test_a_hanging_collector_holds_no_put(pipeline: Callable[..., Pipeline], metlo: Metlo) -> None:
    """Puts from many threads while the worker waits for an answer: all return, all are counted."""
    metlo.always = HANG
    way = pipeline()

    def load() -> None:
        for _ in range(100):
            way.put(wsgi_exchange())

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert way.stats().captured == 400
