"""Everything that is read from the store; each function takes a connection, as in `store.read(list_hosts)`."""

from __future__ import annotations

from metlo_otel.collector.queries.alerts import ALERT_FILTERS, find_alerts, group_alerts, list_mutes, read_alert
from metlo_otel.collector.queries.doings import read_doings
from metlo_otel.collector.queries.endpoints import (
    ENDPOINT_FILTERS,
    fields_of,
    find_endpoints,
    list_classes,
    list_hosts,
    read_endpoint,
)
from metlo_otel.collector.queries.filters import DEFAULT_PAGE, LARGEST_PAGE, MOST_COUNTED, FilterError, Filters, Page
from metlo_otel.collector.queries.language import offered
from metlo_otel.collector.queries.latencies import latencies
from metlo_otel.collector.queries.overview import inventory_counts, series, totals
from metlo_otel.collector.queries.security import (
    ACTOR_FILTERS,
    ATTACK_FILTERS,
    AUDIT_FILTERS,
    count_attacks,
    find_actors,
    find_attacks,
    find_audit,
    read_actor,
)
from metlo_otel.collector.queries.services import SERVICE_FILTERS, find_services, known_names, service_calls
from metlo_otel.collector.queries.traces import (
    TRACE_FILTERS,
    count_traces,
    find_traces,
    read_documents,
    read_one,
    sample,
)

__all__ = [
    "ACTOR_FILTERS",
    "ALERT_FILTERS",
    "ATTACK_FILTERS",
    "AUDIT_FILTERS",
    "DEFAULT_PAGE",
    "ENDPOINT_FILTERS",
    "LARGEST_PAGE",
    "MOST_COUNTED",
    "SERVICE_FILTERS",
    "TRACE_FILTERS",
    "FilterError",
    "Filters",
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
    "group_alerts",
    "inventory_counts",
    "known_names",
    "latencies",
    "list_classes",
    "list_hosts",
    "list_mutes",
    "offered",
    "read_actor",
    "read_alert",
    "read_documents",
    "read_doings",
    "read_endpoint",
    "read_one",
    "sample",
    "series",
    "service_calls",
    "totals",
]
