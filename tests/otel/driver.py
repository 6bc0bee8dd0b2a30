"""One process with one set-up of OpenTelemetry: makes the apps, sends each its requests, prints what its exporters saw.

    python -m tests.otel.driver SETUP [MODE ...]

METLO_HOST and METLO_API_KEY name the collector. Under `opentelemetry-instrument` the mode is `cli`.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from typing import Any

import django
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)

from metlo_otel.agent import _AGENTS
from tests.otel import apps

SETUPS = (
    "sampled",
    "unsampled",
    "parentbased",
    "record-only",
    "none",
    "late",
    "disabled",
    "logfire",
    "ddtrace",
    "second",
)
EXPORTED = ("sampled", "late", "logfire", "second")  # set-ups whose server spans reach exporters
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


class RecordOnly(Sampler):
    """Records every span and samples none."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "RecordOnly"


class Outlets:
    """The exporters beside Metlo's: one in memory, and the console's bytes."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.console = io.StringIO()
        self.meters = InMemoryMetricReader()
        self.provider: Any = None

    def processors(self) -> list[Any]:
        """Theirs, and Metlo's own exporter beside them."""
        from metlo_otel.exporter import MetloSpanExporter

        exporters = (self.memory, ConsoleSpanExporter(out=self.console), MetloSpanExporter())
        return [SimpleSpanProcessor(exporter) for exporter in exporters]

    def attached(self, provider: Any) -> Any:
        """`provider` with these exporters."""
        for processor in self.processors():
            provider.add_span_processor(processor)
        return provider


def set_up(name: str, outlets: Outlets) -> Any:
    """The global provider of this set-up, if it has one by now; returns the private one where there is a second."""
    samplers = {
        "unsampled": ALWAYS_OFF,
        "parentbased": ParentBased(ALWAYS_ON),
        "record-only": RecordOnly(),
    }
    if name == "logfire":
        import logfire

        logfire.configure(
            send_to_logfire=False,
            console=False,
            additional_span_processors=outlets.processors(),
            inspect_arguments=False,
        )
    elif name == "ddtrace":
        from ddtrace.opentelemetry import TracerProvider as DatadogsTracerProvider

        trace.set_tracer_provider(DatadogsTracerProvider())
    elif name == "second":
        trace.set_tracer_provider(outlets.attached(TracerProvider()))
        return outlets.attached(TracerProvider())
    elif name != "none":
        metrics.set_meter_provider(MeterProvider([outlets.meters]))
        trace.set_tracer_provider(outlets.attached(TracerProvider(sampler=samplers.get(name, ALWAYS_ON))))
    return None


def ask(send: apps.Send, cell: str, sampled: bool) -> None:
    """Three requests: a plain one, one with a body and a caller, one whose response is a stream."""
    caller = {**apps.HEADERS, "traceparent": f"00-{CALLER[0]}-{CALLER[1]}-{'01' if sampled else '00'}"}
    first = apps.HEADERS if sampled else caller
    answers = [
        send("GET", f"/items/7?cell={cell}&n=get", first, b""),
        send("POST", f"/items/7?cell={cell}&n=post", caller, apps.BODY),
        send("GET", f"/stream?cell={cell}&n=stream", first, b""),
    ]
    assert answers == [(200, apps.ANSWER), (200, apps.ANSWER), (200, b"".join(apps.CHUNKS))], (cell, answers)


def main(setup: str, modes: tuple[str, ...]) -> None:
    """Run, and print one JSON object."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.otel.django_settings")
    django.setup()
    outlets = Outlets()
    provider = None if setup == "late" else set_up(setup, outlets)
    settings = {"host": os.environ["METLO_HOST"], "api_key": os.environ["METLO_API_KEY"]}
    frameworks = apps.ZERO_CODE if modes == ("cli",) else apps.FRAMEWORKS
    made = apps.Set(settings, provider)
    cells = {f"{framework}.{mode}": made.make(framework, mode) for framework in frameworks for mode in modes}
    if setup == "late":
        set_up(setup, outlets)
    for cell, send in cells.items():
        ask(send, cell, setup != "parentbased")
    for agent in list(_AGENTS):
        assert agent.flush(30), agent.stats()
        stats = agent.stats()
        assert (agent.guard.failures, dict(stats.dropped), stats.sent) == (0, {}, stats.captured), stats
    spans = [json.loads(span.to_json()) for span in outlets.memory.get_finished_spans()]
    told = {"spans": spans, "console": outlets.console.getvalue(), "untraced": _untraced()}
    sys.stdout.write(json.dumps({**told, "metrics": _collected(outlets.meters)}))


def _collected(reader: InMemoryMetricReader) -> dict[str, float]:
    """The metrics' names, and their sums over all attributes; of histograms how often there was something."""
    data = reader.get_metrics_data()
    found: dict[str, float] = {}
    for resource in data.resource_metrics if data else ():
        for metric in [metric for scope in resource.scope_metrics for metric in scope.metrics]:
            sums = [getattr(point, "value", getattr(point, "count", 0)) for point in metric.data.data_points]
            found[metric.name] = found.get(metric.name, 0) + sum(sums)
    return found


def _untraced() -> list[str]:
    """The frameworks whose instrumentor opentelemetry-instrument left out, as it does for versions it does not know."""
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor

    return [] if StarletteInstrumentor().is_instrumented_by_opentelemetry else ["starlette.cli"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], tuple(sys.argv[2:]) or apps.MODES)
