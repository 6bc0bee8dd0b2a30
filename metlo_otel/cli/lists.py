"""`metlo-otel endpoints`, `traces` and `attacks`: what the collector has found, as lists."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json, opened
from metlo_otel.cli.filters import add_filters, read_filters
from metlo_otel.cli.tables import moment, write_json, write_table

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

Item = Mapping[str, Any]
Row = Callable[[Item], Sequence[Any]]

_EVERY = 0.5  # seconds between looks with --follow
_MOST = 500  # of a page of the collector; named here, where nothing of the collector is imported for a help text
_ENDPOINTS = ("Risk", "Method", "Host", "Path", "Calls", "Errors", "p95 ms", "Attacks", "Data", "Last seen")
_TRACES = ("Id", "Time", "Method", "Host", "Path", "Status", "From", "User", "Attacks", "Blocked")
_ATTACKS = ("Time", "Type", "Method", "Host", "Path", "Field", "From", "User", "Status", "Blocked")
_COMMON = ("host", "service", "environment", "since", "until")
_FILTERS = {
    "endpoints": (*_COMMON, "method", "path", "class", "flag", "risk", "sort"),
    "traces": (
        *_COMMON,
        "method",
        "path",
        "status",
        "took",
        "source",
        "user",
        "session",
        "attack",
        "trace",
        "endpoint",
    ),
    "attacks": (*_COMMON, "category", "path", "status", "source", "user", "session", "endpoint"),
}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the commands."""
    _add_list(commands, "endpoints", "the endpoints that were seen, the riskiest first")
    traces = _add_list(commands, "traces", "the latest requests")
    traces.add_argument("--follow", action="store_true", help="go on with new ones as they come, until Ctrl-C")
    attacks = _add_list(commands, "attacks", "the attacks that were found, newest first")
    for command in (traces, attacks):
        command.add_argument("--blocked", action="store_const", const="true", help="only what was blocked")


def _add_list(commands: Commands[argparse.ArgumentParser], name: str, about: str) -> argparse.ArgumentParser:
    command = add_command(commands, name, about)
    add_database(command)
    add_json(command)
    command.add_argument("--limit", default="50", help=f"how many, from 1 to {_MOST} (default: %(default)s)")
    add_filters(command, _FILTERS[name])
    command.set_defaults(run=_run)
    return command


def _run(options: argparse.Namespace) -> int:
    with opened(options) as store:
        if options.command == "endpoints":
            _show(options, _ENDPOINTS, _find(store, options), _endpoint, "No endpoint was seen yet.")
        elif options.command == "attacks":
            _show(options, _ATTACKS, _find(store, options), _attack, "No attack was found.")
        else:
            _run_traces(options, store)
    return 0


def _run_traces(options: argparse.Namespace, store: Store) -> None:
    items = _find(store, options)
    _show(options, _TRACES, items, _trace, "" if options.follow else "No trace is kept.")
    last = max((item["id"] for item in items), default=0)
    while options.follow:
        time.sleep(_EVERY)
        new = _find(store, options, after=str(last), limit=str(_MOST))
        if new:
            last = new[0]["id"]
            _show(options, _TRACES, new[::-1], _trace, "")


def _find(store: Store, options: argparse.Namespace, **more: str) -> list[dict[str, Any]]:
    from metlo_otel.collector import queries

    find = {
        "endpoints": queries.find_endpoints,
        "traces": queries.find_traces,
        "attacks": queries.find_attacks,
    }[options.command]
    parameters = {"limit": options.limit, **read_filters(store, options, _FILTERS[options.command]), **more}
    if getattr(options, "blocked", None):
        parameters["blocked"] = options.blocked
    if options.command == "endpoints":
        parameters.setdefault("sort", "risk")
    try:
        return store.read(partial(find, parameters=parameters)).items
    except queries.FilterError as problem:
        raise CommandError(f"--{problem}") from None


def _show(options: argparse.Namespace, columns: Sequence[str], items: Sequence[Item], row: Row, empty: str) -> None:
    if options.json:
        for item in items:
            write_json(item)
    elif items or empty:
        write_table(columns, map(row, items), empty)


def _endpoint(item: Item) -> Sequence[Any]:
    name = f"{item['path']} {item['operation']}" if item["operation"] else item["path"]
    errors = item["clientErrors"] + item["serverErrors"]
    data = ", ".join(item["classes"])
    seen = moment(item["lastSeen"])
    slow = f"{item['latency']['p95'] / 1000:,.1f}" if item["latency"] else ""
    counts = (item["calls"], errors, slow, item["attacks"])
    return item["risk"], item["method"], item["host"], name, *counts, data, seen


def _trace(item: Item) -> Sequence[Any]:
    where = (item["id"], moment(item["received"]), item["method"], item["host"], item["path"], item["status"])
    return (*where, item["source"], item["user"], ", ".join(item["attacks"]), "yes" if item["blocked"] else "")


def _attack(item: Item) -> Sequence[Any]:
    where = (moment(item["at"]), item["category"], item["method"], item["host"], item["path"], item["field"])
    return (*where, item["source"], item["user"], item["status"], "yes" if item["blocked"] else "")
