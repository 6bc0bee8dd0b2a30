"""What lists are narrowed down by: options, moments as people write them, and values of which there are but some."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from metlo_otel.cli.asking import CommandError

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

_SHOWN = 20  # values that an error names
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_HELP = {
    "since": "not before this: 15m, 2h, 3d ago, or 2026-11-30, 2026-11-30T12:00",
    "until": "before this, written as for --since",
    "status": "of this status (404), class (5xx) or comparison ('>=400')",
    "path": "with this in the path",
    "service": "of what this service answers, where one is known",
    "environment": "of what such a service answers in this environment",
    "risk": "of at least this risk, up to 100",
    "sort": "the order: risk, calls, errors, attacks, p95, seen, path or id",
    "took": "that took so long: '>500ms', '<=2s'",
}


def add_filters(command: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """An option for each of these."""
    for each in names:
        told = _HELP.get(each, f"only of this {each}")
        kind = moment if each in ("since", "until") else str
        command.add_argument(f"--{each}", dest=f"filter_{each}", metavar=each.upper(), type=kind, help=told)


def read_filters(store: Store, options: argparse.Namespace, names: Sequence[str]) -> dict[str, str]:
    """What was asked for. Raises CommandError for a value that there is not, with those that there are."""
    asked = {name: getattr(options, f"filter_{name}") for name in names}
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        if name in _OFFERED:
            _check(name, value, _OFFERED[name](store))
    return given


def moment(text: str, now: float | None = None) -> str:
    """Milliseconds since 1970 of a moment as people write it, in the time of this machine, as argparse reads it."""
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        seconds = (time.time() if now is None else now) - int(ago[1]) * _UNITS[ago[2]]
        return str(max(int(seconds * 1000), 0))
    try:
        return str(max(int(datetime.fromisoformat(text).timestamp() * 1000), 0))
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"15m, 2h or 3d (ago), 2026-11-30 or 2026-11-30T12:00 is expected, not {text[:60]!r}"
        ) from None


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if not known or value.casefold() in {each.casefold() for each in known}:
        return
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    raise CommandError(
        f"--{name} is {value[:60]!r}, of which there is none; there are {', '.join(known[:_SHOWN])}{more}"
    )


def _hosts(store: Store) -> list[str]:
    from metlo_otel.collector.queries import list_hosts

    return [each["host"] for each in store.read(list_hosts)]


def _classes(store: Store) -> list[str]:
    from metlo_otel.collector.queries import list_classes

    return [each["class"] for each in store.read(list_classes)]


def _services(store: Store) -> list[str]:
    from metlo_otel.collector.queries import find_services

    found = store.read(lambda connection: find_services(connection, {"limit": "500"}))
    return sorted({each["service"] for each in found.items})


def _environments(store: Store) -> list[str]:
    from metlo_otel.collector.queries import find_services

    found = store.read(lambda connection: find_services(connection, {"limit": "500"}))
    return sorted({each["environment"] for each in found.items if each["environment"]})


def _categories(_store: Store) -> Sequence[str]:
    from metlo_otel.core.categories import ATTACKS

    return ATTACKS


def _methods(_store: Store) -> Sequence[str]:
    from metlo_otel.core.record import METHODS

    return sorted(METHODS)


def _flags(_store: Store) -> Sequence[str]:
    from metlo_otel.collector.queries import ENDPOINT_FILTERS

    return ENDPOINT_FILTERS["flag"].values


_OFFERED: dict[str, Callable[[Store], Sequence[str]]] = {
    "host": _hosts,
    "class": _classes,
    "service": _services,
    "environment": _environments,
    "attack": _categories,
    "category": _categories,
    "method": _methods,
    "flag": _flags,
}
