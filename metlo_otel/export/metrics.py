"""The agents' numbers as OpenTelemetry metrics, read by callbacks when somebody collects."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from metlo_otel.core.counters import Counters, Stats
from metlo_otel.core.version import __version__

# Seconds; OpenTelemetry's own buckets begin at five of the unit.
_BUCKETS = [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05]


class Counted(Protocol):
    """Something with numbers."""

    counters: Counters

    def stats(self) -> Stats:
        """The numbers now."""


class Meters:
    """The instruments on the global meter provider: all agents of the process in one sum.

    OpenTelemetry keeps the callbacks of the first instrument of a name only, and for ever. So there is one set of
    instruments; an agent that is gone leaves its counts behind, not itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._living: weakref.WeakSet[Counted] = weakref.WeakSet()
        self._gone = Counters()
        self._leaving: deque[Counters] = deque()  # filled while garbage is collected, where no lock may be taken
        self._registered = False
        self._deciding: Histogram | None = None

    def observe(self, counted: Counted) -> None:
        """Have `counted` in the sums."""
        with self._lock:
            self._living.add(counted)
            first, self._registered = not self._registered, True
        weakref.finalize(counted, self._leaving.append, counted.counters).atexit = False
        if first:
            self._register()

    def decided(self, seconds: float) -> None:
        """Note how long rules and detection took for one request; told by the worker, not in the request's time."""
        if self._deciding is not None:
            self._deciding.record(seconds)

    def after_fork(self) -> None:
        """The parent reports its own counts."""
        self._lock = threading.Lock()
        self._leaving.clear()
        self._gone.reset()

    def _register(self) -> None:
        meter = metrics.get_meter("metlo_otel", __version__)
        exchanges = {
            "captured": "put into the queue",
            "sent": "taken by the collector",
            "counted": "taken by the collector in aggregates alone",
            "blocked": "rejected by a rule",
        }
        meter.create_observable_counter(
            "metlo.batch.retried", [self._counter("retried")], "{batch}", "Batches that were sent once more"
        )
        for name, what in exchanges.items():
            meter.create_observable_counter(
                f"metlo.exchange.{name}", [self._counter(name)], "{exchange}", f"Exchanges {what}"
            )
        meter.create_observable_counter(
            "metlo.exchange.dropped", [self._dropped], "{exchange}", "Exchanges that are never sent, by reason"
        )
        meter.create_observable_counter(
            "metlo.worker.cpu_time", [self._counter("worker_cpu_seconds")], "s", "CPU time of the worker thread"
        )
        for name, unit in {"items": "{exchange}", "bytes": "By"}.items():
            known_as = "metlo.queue.size" if name == "items" else "metlo.queue.bytes"
            meter.create_observable_up_down_counter(
                known_as, [self._counter(f"queue_{name}")], unit, "What waits to be sent"
            )

        self._deciding = _histogram(meter)

    def _stats(self) -> list[Stats]:
        with self._lock:
            living = list(self._living)
        while self._leaving:
            self._gone.keep(self._leaving.popleft())
        return [self._gone.stats(), *[counted.stats() for counted in living]]

    def _counter(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _options: [Observation(sum(getattr(stats, name) for stats in self._stats()))]

    def _dropped(self, _options: CallbackOptions) -> Iterable[Observation]:
        sums = Counters()
        for stats in self._stats():
            for reason, count in stats.dropped.items():
                sums.refuse(reason, count)
        return [Observation(count, {"reason": reason}) for reason, count in sums.stats().dropped.items()]


def _histogram(meter: Meter) -> Histogram:
    """OpenTelemetry before 1.30 cannot be told the buckets."""
    has_option = "explicit_bucket_boundaries_advisory" in inspect.signature(meter.create_histogram).parameters
    options: dict[str, Any] = {"explicit_bucket_boundaries_advisory": _BUCKETS} if has_option else {}
    return meter.create_histogram(
        "metlo.decide.duration", "s", "What rules and attack detection take of a request's time", **options
    )
