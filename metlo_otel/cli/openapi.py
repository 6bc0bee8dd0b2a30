"""`metlo-otel openapi`: a host's description as it was observed, or how it differs from a written one."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json, opened
from metlo_otel.cli.tables import write_json, write_table

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    command = add_command(commands, "openapi", "an OpenAPI 3.1 description of a host, made of what was observed")
    command.add_argument("host", nargs="?", metavar="HOST", help="the host; without it the known hosts are listed")
    command.add_argument("--diff", metavar="FILE", help="tell how what was observed differs from this description")
    add_database(command)
    add_json(command, "one object per line: the description, a host or a difference")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    with opened(options) as store:
        if options.host is None:
            _list(options, store)
            return 0
        return _describe(options, store)


def _list(options: argparse.Namespace, store: Store) -> None:
    from metlo_otel.collector.queries import list_hosts

    hosts = store.read(list_hosts)
    if options.json:
        for host in hosts:
            write_json(host)
        return
    rows = [(host["host"], host["endpoints"], host["calls"], host["risk"]) for host in hosts]
    write_table(("Host", "Endpoints", "Calls", "Risk"), rows, "No host was seen yet.")


def _describe(options: argparse.Namespace, store: Store) -> int:
    from metlo_otel.collector.openapi import describe_host, to_yaml

    found = store.read(partial(describe_host, host=options.host.lower()))
    if found is None:
        raise CommandError(f"no endpoint of {options.host!r} was seen; `metlo-otel openapi` lists the known hosts")
    if options.diff is None:
        if options.json:
            write_json(found)
        else:
            print(to_yaml(found), end="")
        return 0
    return _compare(options, found)


def _compare(options: argparse.Namespace, observed: dict[str, Any]) -> int:
    """1 where they differ, as diff(1) has it."""
    from metlo_otel.collector.spec_diff import compare

    try:
        text = Path(options.diff).read_text("utf-8")
        differences = compare(observed, text)
    except (OSError, ValueError) as problem:
        raise CommandError(f"{options.diff}: {problem}") from None
    if options.json:
        for each in differences:
            write_json(each.document())
    else:
        rows = [(each.method, each.path, each.place, each.what) for each in differences]
        write_table(("Method", "Path", "Where", "Difference"), rows, "No difference.")
    return 1 if differences else 0
