"""What the collector tells of itself to Prometheus: what it is asked, what waits, and how much is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metlo_otel.collector.database import bytes_used
from metlo_otel.collector.schema import ALERTS, ENDPOINTS, TRACES
from metlo_otel.collector.schema_telling import DELIVERIES, DESTINATIONS
from metlo_otel.collector.store import Store
from metlo_otel.core.version import __version__

# The beginnings of paths that are told apart: what strangers ask for makes no series of its own.
_DOORS = (
    ("/api/v1/agent-config", "agent-config"),
    ("/api/v1/aggregates", "aggregates"),
    ("/api/v1/log-request", "log-request"),
    ("/api/v2/log-request", "log-request"),
    ("/api/", "api"),
    ("/dashboard/", "dashboard"),
    ("/healthz", "health"),
    ("/readyz", "health"),
    ("/metrics", "metrics"),
)
_METHODS = ("GET", "POST", "HEAD")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """One registry for one store."""

    def __init__(self, store: Store) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("metlo_collector", "The collector's version.", registry=registry).info({"version": __version__})
        self._requests = Counter(
            "metlo_http_requests", "Requests that were answered.", ("door", "method", "status"), registry=registry
        )
        self._took = Histogram(
            "metlo_http_request_duration_seconds", "Until answered.", ("door",), buckets=_BUCKETS, registry=registry
        )
        registry.register(_Kept(store))

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        door = next((name for beginning, name in _DOORS if path.startswith(beginning)), "other")
        self._requests.labels(door, method if method in _METHODS else "other", f"{status // 100}xx").inc()
        self._took.labels(door).observe(seconds)

    def write(self, accept: str) -> tuple[bytes, str]:
        """All of it in the form that `accept`, a header's value, asks for, and that form's media type. This waits for
        the database.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class Measuring:
    """An ASGI app in front of another, which counts what is answered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            self._metrics.answered(scope["path"], scope["method"], status, time.perf_counter() - began)


class _Kept(Collector):
    """What the store says when it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing that would need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        counted = CounterMetricFamily(
            "metlo_stored", "What agents sent and was handed over to be stored.", None, ("of",)
        )
        for name, number in self._store.taken.items():
            counted.add_metric([name], number)
        yield counted
        yield GaugeMetricFamily("metlo_writer_waiting", "Pieces of work that wait to be stored.", self._store.waiting)
        yield GaugeMetricFamily(
            "metlo_upkeep_last_success_timestamp_seconds", "When upkeep was done last.", self._store.kept_up
        )
        yield from self._store.read(_read)


def _read(connection: Connection) -> list[Metric]:
    kept = GaugeMetricFamily("metlo_kept", "Rows that are kept.", None, ("of",))
    for name, table in (("endpoints", ENDPOINTS), ("traces", TRACES)):
        kept.add_metric([name], connection.execute(select(func.count()).select_from(table)).scalar_one())
    alerts = GaugeMetricFamily("metlo_alerts_open", "Alerts that are open.", None, ("severity",))
    open_ones = select(ALERTS.c.severity, func.count()).where(ALERTS.c.status == "open").group_by(ALERTS.c.severity)
    found: dict[str, int] = {row.severity: row[1] for row in connection.execute(open_ones)}
    for severity in ("low", "medium", "high"):
        alerts.add_metric([severity], found.get(severity, 0))
    return [
        kept,
        alerts,
        *_telling(connection),
        GaugeMetricFamily("metlo_database_bytes", "What the database takes.", bytes_used(connection)),
    ]


def _telling(connection: Connection) -> list[Metric]:
    waiting = GaugeMetricFamily("metlo_alerts_waiting", "Alerts that a destination was not told.", None, ("to",))
    failures = GaugeMetricFamily(
        "metlo_destination_failures", "Failed attempts since the last good one.", None, ("to",)
    )
    counted = (
        select(DELIVERIES.c.destination_id, func.count().label("n"))
        .where(DELIVERIES.c.state == "waiting")
        .group_by(DELIVERIES.c.destination_id)
        .subquery()
    )
    table = DESTINATIONS.c
    rows = select(table.name, func.coalesce(counted.c.n, 0), table.failures).outerjoin(
        counted, counted.c.destination_id == table.id
    )
    for name, number, failed in connection.execute(rows):
        waiting.add_metric([name], number)
        failures.add_metric([name], failed)
    return [waiting, failures]
