"""Opening the database: a file (SQLite) or a URL, with the settings that durability and one writer need."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from metlo_otel.collector.schema import METADATA

_LOCKED_AFTER = 5.0  # seconds that SQLite waits for another process's lock
_CACHE = 32 * 1024  # KiB of pages that a SQLite connection may hold


class DatabaseError(Exception):
    """The database cannot be opened; the text says which and why."""


def open_database(where: str) -> Engine:
    """An engine on `where`, a path of a SQLite file or an SQLAlchemy URL, with the tables made where they are missing.

    A new file is readable by its owner alone, for traces hold what passed through the app. Raises DatabaseError.
    """
    try:
        url = make_url(where) if "://" in where else make_url("sqlite+pysqlite://").set(database=where)
        if url.get_backend_name() != "sqlite":
            raise DatabaseError(f"--db {where!r}: a path of a SQLite file is expected")
        _make_private(url.database)
        engine = create_engine(url, connect_args={"timeout": _LOCKED_AFTER}, pool_size=8, max_overflow=8)
        event.listen(engine, "connect", _prepare)
        METADATA.create_all(engine)
    except (ArgumentError, DBAPIError, OSError) as problem:
        reason = problem.orig if isinstance(problem, DBAPIError) else problem
        raise DatabaseError(f"the database {where!r} cannot be opened: {reason}") from problem
    return engine


def _make_private(path: str | None) -> None:
    if not path or path == ":memory:":
        raise DatabaseError("a database in memory is lost at the end; a path of a file is expected")
    if not Path(path).exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """WAL lets readers go on while the writer writes; FULL makes a commit survive a power cut."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE}")


def is_unavailable(problem: BaseException) -> bool:
    """Whether the database cannot take anything now (locked, disk full, gone), so that trying again makes sense."""
    return isinstance(problem, OperationalError)


def add_up(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], add: Sequence[str]) -> None:
    """Insert `rows`; where a row with the same primary key is there, add the columns `add` to it."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    sums = {name: table.c[name] + statement.excluded[name] for name in add}
    keys = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=sums), rows)


def insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert `row` unless it breaks a unique constraint, which means that it is there already."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), row)
