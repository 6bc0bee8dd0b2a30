"""`metlo-otel backup`, `restore` and `db`: copies of the collector's database, and its tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json
from metlo_otel.cli.tables import write_json

if TYPE_CHECKING:
    from metlo_otel.collector.upgrading import State


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the commands."""
    backup = add_command(commands, "backup", "copy the collector's database to a file, beside a collector that runs")
    add_database(backup)
    backup.add_argument("file", type=Path, help="a new file; for PostgreSQL pg_dump writes it")
    backup.set_defaults(run=_back_up)
    restore = add_command(commands, "restore", "make a database of a copy that backup made; end the collector first")
    add_database(restore)
    restore.add_argument("file", type=Path, help="what backup wrote")
    restore.add_argument("--replace", action="store_true", help="put it in the place of a database that is there")
    restore.set_defaults(run=_restore)
    tables = add_command(commands, "db", "look at the database's tables, or bring them up to date")
    kinds: Commands[argparse.ArgumentParser] = tables.add_subparsers(dest="what", required=True, metavar="WHAT")
    check = add_command(kinds, "check", "tell of which version the tables are, and look for damage; changes nothing")
    add_json(check, "one object")
    check.set_defaults(run=_check)
    upgrade = add_command(kinds, "upgrade", "bring the tables up to date, as the collector does when it starts")
    upgrade.add_argument("--backup", type=Path, metavar="FILE", help="copy the database to a new file first")
    upgrade.set_defaults(run=_upgrade)
    for command in (check, upgrade):
        add_database(command)


def _back_up(options: argparse.Namespace) -> int:
    from metlo_otel.collector.backup import back_up
    from metlo_otel.collector.database import DatabaseError

    try:
        size = back_up(options.db, options.file)
    except DatabaseError as problem:
        raise CommandError(str(problem)) from problem
    print(f"{options.file}: {size:,} bytes. It holds what the database holds: keep it as safe.")
    return 0


def _restore(options: argparse.Namespace) -> int:
    from metlo_otel.collector.backup import restore
    from metlo_otel.collector.database import DatabaseError

    try:
        restore(options.file, options.db, options.replace)
    except DatabaseError as problem:
        raise CommandError(str(problem)) from problem
    print("Restored. Keys, accounts and rules are as they were then: what was revoked since is valid again.")
    return 0


def _check(options: argparse.Namespace) -> int:
    from metlo_otel.collector.database import DatabaseError
    from metlo_otel.collector.upgrading import look

    try:
        state = look(options.db)
    except DatabaseError as problem:
        raise CommandError(str(problem)) from problem
    if options.json:
        write_json(state.document())
    else:
        print(_told(state))
    return 0 if state.is_current and not state.damage else 1


def _told(state: State) -> str:
    if state.damage:
        return f"Damaged: {state.damage}"
    if state.is_current:
        return f"Up to date (revision {state.revision}), no damage, {state.size:,} bytes."
    if state.is_newer:
        return f"Revision {state.revision} was made by a newer version of metlo-otel; this one knows {state.wanted}."
    known = "There are no tables yet" if state.revision is None else f"Revision {state.revision}"
    return f"{known}; `metlo-otel db upgrade`, or the collector's next start, makes it {state.wanted}."


def _upgrade(options: argparse.Namespace) -> int:
    from metlo_otel.collector.backup import back_up
    from metlo_otel.collector.database import DatabaseError, open_database
    from metlo_otel.collector.upgrading import look

    try:
        before = look(options.db)
        if options.backup is not None:
            back_up(options.db, options.backup)
        if not before.is_current:
            open_database(options.db).dispose()
    except DatabaseError as problem:
        raise CommandError(str(problem)) from problem
    if before.is_current:
        print(f"Nothing to do: the tables are of revision {before.revision}.")
    else:
        print(f"The tables are of revision {before.wanted} now, before of {before.revision or 'none'}.")
    return 0
