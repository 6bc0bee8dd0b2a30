"""`metlo-otel import` and `export`: requests out of a HAR, and stored traces as a HAR."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json, opened
from metlo_otel.cli.filters import add_filters, read_filters
from metlo_otel.cli.tables import write_json

_BATCH = 200
_LARGEST = 1_000_000_000  # bytes of a HAR
_FILTERS = (
    "host",
    "service",
    "environment",
    "since",
    "until",
    "method",
    "path",
    "status",
    "source",
    "user",
    "session",
    "attack",
    "endpoint",
)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the commands."""
    command = add_command(commands, "import", "take in the requests that a browser or proxy recorded in a HAR file")
    command.add_argument("file", metavar="FILE.har")
    add_database(command)
    add_json(command, "one object")
    command.set_defaults(run=_import)
    command = add_command(commands, "export", "write the stored traces as a HAR, or with --json as they were sent")
    command.add_argument("-o", "--output", metavar="FILE", help="where to (default: the standard output)")
    command.add_argument("--limit", type=int, default=10_000, help="how many at most (default: %(default)s)")
    add_filters(command, _FILTERS)
    add_database(command)
    add_json(command, "one trace a line as it was sent")
    command.set_defaults(run=_export)


def _import(options: argparse.Namespace) -> int:
    from metlo_otel.collector.har import HarError, read_har

    try:
        if Path(options.file).stat().st_size > _LARGEST:
            raise CommandError(f"{options.file} is larger than {_LARGEST} bytes")
        entries = read_har(Path(options.file).read_bytes())
    except (OSError, HarError) as problem:
        raise CommandError(f"{options.file} cannot be read: {problem}") from None
    taken, problems = _take(options, entries)
    if options.json:
        write_json({"accepted": taken, "rejected": len(problems), "problems": problems})
    else:
        for each in problems[:20]:
            print(f"entry {each['entry']}: {each['reason']}")
        print(f"{taken} requests taken in, {len(problems)} not")
    return 1 if problems else 0


def _take(options: argparse.Namespace, entries: list[Any]) -> tuple[int, list[dict[str, Any]]]:
    from metlo_otel.collector.arrival import Arrival
    from metlo_otel.collector.har import HarError, trace_of
    from metlo_otel.collector.trace import TraceError

    traces, problems = [], []
    with opened(options, make=True) as store:
        read = Arrival(store).reader()
        for index, entry in enumerate(entries):
            try:
                traces.append(read(trace_of(entry)))
            except (HarError, TraceError) as problem:
                problems.append({"entry": index, "reason": str(problem)})
        for start in range(0, len(traces), _BATCH):
            store.add(traces[start : start + _BATCH]).result()
    return len(traces), problems


def _export(options: argparse.Namespace) -> int:
    from metlo_otel.collector import queries

    write = _write_lines if options.json else _write_har
    with opened(options) as store:
        parameters = read_filters(store, options, _FILTERS)
        try:
            store.read(
                partial(queries.find_traces, parameters={**parameters, "limit": "1"})
            )  # raises for what is wrong
            with _output(options.output) as output:
                store.read(lambda found: write(queries.read_documents(found, parameters, options.limit), output))
        except queries.FilterError as problem:
            raise CommandError(f"--{problem}") from None
    return 0


@contextmanager
def _output(name: str | None) -> Iterator[IO[str]]:
    if name is None:
        yield sys.stdout
        return
    try:
        with open(name, "w", encoding="utf-8") as output:
            yield output
    except OSError as problem:
        raise CommandError(f"{name} cannot be written: {problem}") from None


def _write_lines(found: Iterator[tuple[Any, Any]], output: IO[str]) -> None:
    import orjson

    for _, document in found:
        output.write(orjson.dumps(document).decode() + "\n")


def _write_har(found: Iterator[tuple[Any, Any]], output: IO[str]) -> None:
    """Entry by entry, so that not all of it is in memory."""
    import json

    from metlo_otel.collector.har import entry_of, frame

    before, after = json.dumps(frame()).split("[]")
    output.write(before + "[")
    for index, (row, document) in enumerate(found):
        output.write((",\n" if index else "\n") + json.dumps(entry_of(row.received, document)))
    output.write("\n]" + after + "\n")
