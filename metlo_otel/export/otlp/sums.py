"""What all requests add up to as OpenTelemetry's metrics: durations as exponential histograms, blocked ones, bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from metlo_otel.core.aggregates import Series, Taken
from metlo_otel.core.histogram import summed
from metlo_otel.export.otlp.exemplars import Exemplars, Group, group_of

_SUMS: tuple[tuple[str, str, str, Callable[[Series], int]], ...] = (
    ("metlo.http.server.requests.blocked", "{request}", "Requests that were rejected.", lambda each: each.blocked),
    ("metlo.http.server.request.body.bytes", "By", "Bytes of requests' bodies.", lambda each: each.request_bytes),
    ("metlo.http.server.response.body.bytes", "By", "Bytes of responses' bodies.", lambda each: each.response_bytes),
)


def metrics_of(
    taken: Taken, times: tuple[int, int], resource: Resource, delta: bool, exemplars: Exemplars
) -> MetricsData:
    """Metrics of what was counted between two `times` (ns since the epoch); since the process began, or a `delta`."""
    groups: dict[Group, list[Series]] = defaultdict(list)
    for key, series in taken.series.items():
        groups[group_of(key)].append(series)
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    points = [_point(dict(group), some, times, exemplars.of(group)) for group, some in groups.items()]
    about = "How long requests took, all of them."
    metrics = [Metric("metlo.http.server.request.duration", about, "us", ExponentialHistogram(points, temporality))]
    for name, unit, told, read in _SUMS:
        counted = {group: sum(map(read, some)) for group, some in groups.items()}
        numbers = [NumberDataPoint(dict(group), *times, value) for group, value in counted.items() if value]
        if numbers:
            metrics.append(Metric(name, told, unit, Sum(numbers, temporality, is_monotonic=True)))
    scope = ScopeMetrics(InstrumentationScope("metlo_otel"), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _point(
    attributes: Mapping[str, Any], some: Sequence[Series], times: tuple[int, int], more: Mapping[str, Any]
) -> ExponentialHistogramDataPoint:
    found = summed(each.latency for each in some)
    return ExponentialHistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=times[0],
        time_unix_nano=times[1],
        count=found.count,
        sum=found.sum,
        scale=found.scale,
        zero_count=0,
        positive=Buckets(found.offset, list(found.counts)),
        negative=Buckets(0, []),
        flags=0,
        min=found.min,
        max=found.max,
        **more,
    )
