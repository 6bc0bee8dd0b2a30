"""What agents count, made by what agents count with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from metlo_otel.collector.sums import Sums
from metlo_otel.collector.sums_wire import SumsReader
from metlo_otel.core.aggregates import Aggregates, Key, document


def make_key(route: str | None = "/items/{id}", **more: Any) -> Key:
    """A series of `GET shop.example/items/{id}`; `more` replaces its parts."""
    return Key(**{"host": "shop.example", "method": "GET", "route": route, "path": None, "status": 200, **more})


def make_document(
    keys: Sequence[Key],
    times: Sequence[float] = (1_000.0,),
    actors: Sequence[tuple[str, str]] = (),
    blocked: bool = False,
) -> dict[str, Any]:
    """A document with a call of each key for each of `times` (microseconds), each made by all `actors`."""
    counted = Aggregates()
    for key in keys:
        for microseconds in times:
            counted.add(key, microseconds, 100, 2_000, blocked)
            for kind, value in actors:
                counted.add_actor(kind, value, key.status, blocked)
    made = document(counted.take(), 1_796_000_000_000, 1_796_000_001_000, "production")
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def make_sums(keys: Sequence[Key], times: Sequence[float] = (1_000.0,), **more: Any) -> Sums:
    """The same as the collector reads it."""
    return SumsReader().read(make_document(keys, times, **more))
