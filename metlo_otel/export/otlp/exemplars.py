"""For each series of the metrics the last request that has a trace: from a peak on a chart to what made it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint

from metlo_otel.core.aggregates import Key
from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.wire import sendable_host

Group = tuple[tuple[str, Any], ...]
"""The attributes of a series."""

_MOST = 2_000  # series
_SUPPORTED = any(field.name == "exemplars" for field in fields(ExponentialHistogramDataPoint))  # since SDK 1.28


def group_of(key: Key) -> Group:
    """The attributes of what is counted under a key."""
    found = {
        "server.address": key.host,
        "http.request.method": key.method,
        "http.route": key.route or key.path,
        "http.response.status_code": key.status or None,
    }
    return tuple((name, value) for name, value in found.items() if value is not None)


class Exemplars:
    """Exemplars of one interval, of requests with a route. For one thread at a time."""

    def __init__(self) -> None:
        self._by_group: dict[Group, Any] = {}

    def note(self, spans: Iterable[ExchangeSpan]) -> None:
        """Remember requests that were told of."""
        for span in spans if _SUPPORTED else ():
            record = span.record
            if record.route and record.trace_id and record.span_id:
                key = Key(sendable_host(record)[:255], record.method.upper(), record.route, None, record.status)
                self._by_group[group_of(key)] = _exemplar(span)
                if len(self._by_group) > _MOST:
                    del self._by_group[next(iter(self._by_group))]

    def of(self, group: Group) -> dict[str, Any]:
        """What a data point has beside its numbers."""
        found = self._by_group.get(group)
        return {} if found is None else {"exemplars": [found]}

    def clear(self) -> None:
        """Begin the next interval."""
        self._by_group.clear()


def _exemplar(span: ExchangeSpan) -> Any:
    from opentelemetry.sdk.metrics import Exemplar

    record = span.record
    took = max(record.ended - record.started, 0) / 1_000  # microseconds, as the histogram has them
    attributes = {"metlo.exchange.id": record.exchange_id} if record.exchange_id else {}
    return Exemplar(attributes, took, record.ended, record.span_id, record.trace_id)
