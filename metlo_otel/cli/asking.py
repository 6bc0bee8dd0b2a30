"""What commands share: their options, opening the store, and wrong questions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

Commands = argparse._SubParsersAction  # argparse names it so; there is no public name

DATABASE = "metlo.db"


class CommandError(Exception):
    """The command cannot do what was asked; the text is for the user."""


def add_command(commands: Commands[argparse.ArgumentParser], name: str, about: str) -> argparse.ArgumentParser:
    """A command of its own, `about` it in a few words."""
    return commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")


def add_database(command: argparse.ArgumentParser) -> None:
    """The option that says where the collector keeps its data."""
    default = os.environ.get("METLO_DB") or DATABASE
    command.add_argument(
        "--db", default=default, help="file or postgresql+psycopg:// URL of the database (default: %(default)s)"
    )


def add_json(command: argparse.ArgumentParser, form: str = "one object per line") -> None:
    """The option for programs that read the answer; `form` says what they get."""
    command.add_argument("--json", action="store_true", help=f"write JSON, {form}")


@contextmanager
def opened(options: argparse.Namespace, make: bool = False) -> Iterator[Store]:
    """The store of `--db`, beside a collector that may be running on it; with `make` also one that is not there yet.

    Raises CommandError.
    """
    from metlo_otel.collector.database import DatabaseError
    from metlo_otel.collector.store import Store

    if not make and "://" not in options.db and not Path(options.db).is_file():
        raise CommandError(f"there is no database {options.db!r}; name the collector's with --db or METLO_DB")
    try:
        store = Store(options.db, duties=False)
    except DatabaseError as problem:
        raise CommandError(str(problem)) from problem
    try:
        yield store
    finally:
        store.close()


def port(text: str) -> int:
    """A port as argparse reads it."""
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port from 0 to 65535 is expected, not {text!r}")
