"""Blocking with one click: for how long, and whom one would rather not block."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from metlo_otel.collector.dashboard.words import DURATIONS
from metlo_otel.collector.schema import TRACES
from metlo_otel.core.addresses import in_ranges, normalise, parse_networks

_HOURS = {"1h": 1, "24h": 24}
_HOUR = 3_600_000  # ms
_INSIDE = parse_networks(
    (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_LATEST = 1_000  # traces of which an address's share is counted
_FEW = 20  # traces of which a share tells nothing


def end_of(chosen: str) -> int | None:
    """When a block ends that begins now, in ms since the epoch; an hour unless chosen otherwise, None: never.

    Raises ValueError for what cannot be chosen.
    """
    if chosen and chosen not in DURATIONS:
        raise ValueError(f"for: is one of {', '.join(DURATIONS)}, not {chosen[:60]!r}")
    hours = _HOURS.get(chosen or "1h")
    return None if hours is None else int(time.time() * 1000) + hours * _HOUR


def warnings(connection: Connection, kind: str, value: str, own: str) -> list[str]:
    """Why one would rather not block an actor; `own` is the address of who asks."""
    return list(_warnings(connection, normalise(value), normalise(own))) if kind == "address" else []


def _warnings(connection: Connection, address: str, own: str) -> Iterator[str]:
    if address == own:
        yield "This is the address from which you reach the dashboard: you would block yourself."
    if in_ranges(address, _INSIDE):
        yield "This is a private address, most often of a proxy: whoever comes through it is blocked."
    latest = select(TRACES.c.source).order_by(TRACES.c.id.desc()).limit(_LATEST).subquery()
    counts = select(func.count(), func.count().filter(latest.c.source == address)).select_from(latest)
    total, hits = connection.execute(counts).one()
    if total >= _FEW and hits * 2 > total:
        yield f"{hits:,} of the latest {total:,} requests come from it: it may be a proxy before all clients."
