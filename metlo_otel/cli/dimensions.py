"""Host, service and environment, by which every list can be narrowed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from metlo_otel.cli.asking import CommandError

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

DIMENSIONS = ("host", "service", "environment")

_NAMED = 50  # of what there is, in a message


def check_known(store: Store, parameters: Mapping[str, str]) -> None:
    """Raise CommandError for a host, service or environment that was never seen: nothing found is no answer then."""
    from metlo_otel.collector import queries

    for name in DIMENSIONS:
        if name in parameters:
            known = store.read(partial(queries.known_names, dimension=name))
            if parameters[name] not in known:
                there_are = f"there are {', '.join(known[:_NAMED])}" if known else "none was seen yet"
                more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
                raise CommandError(f"--{name} is {parameters[name][:100]!r}, which was never seen; {there_are}{more}")
