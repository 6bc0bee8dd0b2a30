"""Everything that is read from the store; each function takes a connection, as in `store.read(list_hosts)`."""

from __future__ import annotations

from metlo_otel.collector.queries.endpoints import fields_of, find_endpoints, list_classes, list_hosts, read_endpoint
from metlo_otel.collector.queries.filters import DEFAULT_PAGE, LARGEST_PAGE, FilterError, Page
from metlo_otel.collector.queries.latencies import latencies
from metlo_otel.collector.queries.overview import inventory_counts, series, totals
from metlo_otel.collector.queries.security import (
    count_attacks,
    find_actors,
    find_alerts,
    find_attacks,
    find_audit,
    read_actor,
    read_alert,
)
from metlo_otel.collector.queries.services import find_services, known_names, service_calls
from metlo_otel.collector.queries.traces import count_traces, find_traces, read_documents, read_one, sample

__all__ = [
    "DEFAULT_PAGE",
    "LARGEST_PAGE",
    "FilterError",
    "Page",
    "count_attacks",
    "count_traces",
    "fields_of",
    "find_actors",
    "find_alerts",
    "find_attacks",
    "find_audit",
    "find_endpoints",
    "find_services",
    "find_traces",
    "inventory_counts",
    "known_names",
    "latencies",
    "list_classes",
    "list_hosts",
    "read_actor",
    "read_alert",
    "read_documents",
    "read_endpoint",
    "read_one",
    "sample",
    "series",
    "service_calls",
    "totals",
]
