"""Added time a request: plain, with metlo_otel, with OpenTelemetry's contrib, with both; interleaved, in one process.

    python -m benchmarks.overhead [--rounds 40] [--requests 100] [--frameworks flask,django,fastapi]

Prints microseconds: the plain request, what each variant adds to it at the median and the 99th percentile, CPU time a
request with the worker's work in it, and the ratio of metlo_otel's added median to contrib's: alone, and where both are
there what metlo_otel adds to contrib. The added median is that of the rounds' own: the machine drifts between them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import statistics
import time
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import apps

_AT_ONCE = 10  # requests of one variant, before the next one's turn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=100, help="requests of one kind in one round")
    parser.add_argument("--frameworks", default="flask,django,fastapi")
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    collector = multiprocessing.get_context("spawn").Process(target=_collect, args=(theirs,), daemon=True)
    collector.start()
    options = {"host": ours.recv(), "api_key": "benchmark"}
    _trace_globally()
    print(f"{'':28}{'plain':>9}{'added p50':>11}{'added p99':>11}{'CPU':>9}{'to contrib':>12}")
    for framework in arguments.frameworks.split(","):
        for method in ("GET", "POST"):
            _measure(framework, method, options, arguments.rounds, arguments.requests)
    ours.send(None)
    collector.join(5)


def _collect(pipe: Connection) -> None:
    """A collector in a process of its own, so that its work is not counted."""
    from metlo_otel.testing import MemoryCollector

    with MemoryCollector({"globalFullTraceCapture": True}, "benchmark") as collector:
        pipe.send(collector.url)
        while not pipe.poll(1):
            collector.clear()


def _trace_globally() -> None:
    """The set-up that contrib is used with: an SDK provider whose spans are batched (and here thrown away)."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    trace.set_tracer_provider(provider)


def _measure(framework: str, method: str, options: dict[str, Any], rounds: int, requests: int) -> None:
    loop = asyncio.new_event_loop()
    calls = {variant: _call(framework, variant, method, options, loop) for variant in apps.VARIANTS}
    times: dict[str, list[list[float]]] = {variant: [] for variant in calls}
    cpu: dict[str, list[float]] = {variant: [] for variant in calls}
    for call in calls.values():
        for _ in range(50):
            call()
    agents = _agents()
    for _ in range(rounds):
        gc.collect()
        found: dict[str, list[float]] = {variant: [] for variant in calls}
        for _ in range(0, requests, _AT_ONCE):
            for variant, call in calls.items():
                found[variant] += [_timed(call) for _ in range(_AT_ONCE)]
        for variant in calls:
            times[variant].append(found[variant])
        _flush(agents)
        for variant, call in calls.items():
            before = time.process_time()
            for _ in range(requests):
                call()
            if "metlo" in variant:
                _flush(agents)  # the worker's CPU time falls to the variant that caused it
            cpu[variant].append((time.process_time() - before) / requests * 1e6)
    _print(f"{framework} {method}", times, cpu)
    loop.close()


def _call(framework: str, variant: str, method: str, options: dict[str, Any], loop: Any) -> apps.Call:
    make = {"flask": apps.flask_app, "django": apps.django_app, "fastapi": apps.fastapi_app}[framework]
    app = make(variant, options)
    return apps.asgi_call(app, method, loop) if framework == "fastapi" else apps.wsgi_call(app, method)


def _timed(call: apps.Call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def _flush(agents: list[Any]) -> None:
    for agent in agents:
        agent.flush(10.0)


def _agents() -> list[Any]:
    from metlo_otel.agent import Agent

    return [item for item in gc.get_objects() if type(item) is Agent]


def _print(name: str, times: dict[str, list[list[float]]], cpu: dict[str, list[float]]) -> None:
    middle = {variant: [statistics.median(values) for values in rounds] for variant, rounds in times.items()}
    all_ = {variant: list(chain.from_iterable(rounds)) for variant, rounds in times.items()}
    high = {variant: statistics.quantiles(values, n=100)[98] for variant, values in all_.items()}
    contrib = _difference(middle["contrib"], middle["plain"])
    ratios = {
        "metlo": _difference(middle["metlo"], middle["plain"]) / contrib,
        "contrib+metlo": _difference(middle["contrib+metlo"], middle["contrib"]) / contrib,
    }
    for variant in times:
        line = f"{name + ' ' + variant:28}"
        if variant == "plain":
            line += f"{statistics.median(middle['plain']):9.1f}{'':22}"
        else:
            line += f"{'':9}{_difference(middle[variant], middle['plain']):11.1f}{high[variant] - high['plain']:11.1f}"
        line += f"{statistics.median(cpu[variant]):9.1f}"
        line += f"{ratios[variant]:11.2f}x" if variant in ratios else ""
        print(line, flush=True)


def _difference(values: list[float], others: list[float]) -> float:
    return statistics.median(value - other for value, other in zip(values, others, strict=True))


if __name__ == "__main__":
    main()
