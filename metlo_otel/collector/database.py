"""Opening the database, a file (SQLite) or a URL (PostgreSQL), as durability and one writer need it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from metlo_otel.collector.migrate import migrate

_LOCKED_AFTER = 5.0  # seconds that SQLite waits for another process's lock
_CACHE = 32 * 1024  # KiB of pages that a SQLite connection may hold
_CHECKING = 5.0  # seconds that the search for damage may take: it reads some 500 MB a second, and a start waits for it
_CHECKED_EVERY = 100_000  # steps of SQLite's machine between two looks at the clock, less than a millisecond
_DAMAGED = ("malformed", "not a database")  # of SQLITE_CORRUPT and SQLITE_NOTADB; Python 3.10 tells no error codes
_CONNECT = 5  # seconds that PostgreSQL has to answer in
_TAKE_LOCK = text("SELECT pg_advisory_xact_lock(7304265119)")  # a number of our own, for whoever writes
_OVERHEAD = 700  # bytes that a trace takes beside its document, about


class DatabaseError(Exception):
    """The database cannot be opened; the text says which and why."""


def open_database(where: str) -> Engine:
    """An engine on `where`, a path of a SQLite file or an SQLAlchemy URL, its tables made or brought up to date.

    A new file is readable by its owner alone, for traces hold what passed through the app. Raises DatabaseError.
    """
    shown = where
    try:
        shown = make_url(where).render_as_string(hide_password=True) if "://" in where else where
        engine = connect_to(where)
        try:
            _check(engine)
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    except (ArgumentError, DBAPIError, OSError, ValueError) as problem:
        reason = problem.orig if isinstance(problem, DBAPIError) else problem
        raise DatabaseError(f"the database {shown!r} cannot be opened: {str(reason).strip()}") from problem
    return engine


def connect_to(where: str) -> Engine:
    """An engine on a database as it is. Raises DatabaseError for what is none, ArgumentError for what is no URL."""
    url = make_url(where) if "://" in where else make_url("sqlite+pysqlite://").set(database=where)
    return _engine(url, url.render_as_string(hide_password=True) if "://" in where else where)


def _engine(url: URL, shown: str) -> Engine:
    kind = url.get_backend_name()
    if kind == "sqlite":
        _make_private(url.database)
        connecting = {"timeout": _LOCKED_AFTER}
        engine = create_engine(url, connect_args=connecting, pool_size=8, max_overflow=8, hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        return engine
    if kind == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
        connecting = {"connect_timeout": _CONNECT}
        return create_engine(url, connect_args=connecting, pool_size=8, pool_pre_ping=True, hide_parameters=True)
    raise DatabaseError(f"--db {shown!r}: a path of a SQLite file or a URL postgresql+psycopg://… is expected")


def _check(engine: Engine) -> None:
    """Look for damage in a SQLite file, as far as one gets in a few seconds. Raises ValueError where there is any."""
    if engine.dialect.name != "sqlite":
        return
    deadline = time.monotonic() + _CHECKING
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _CHECKED_EVERY)
        try:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        except OperationalError as problem:
            if "interrupted" not in str(problem.orig):
                raise
            found = "ok"
        finally:
            driver.set_progress_handler(None, 0)
    if found != "ok":
        raise ValueError(f"it is damaged ({str(found).strip().splitlines()[-1]}); {TO_MEND}")


TO_MEND = "restore a copy, or save what can be read with SQLite's command .recover, into a new file"


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


def begin_writing(connection: Connection) -> None:
    """Wait for the one lock of all who write, so that no two can wait for each other for ever. SQLite's is the file's,
    taken now because waiting for it after reading would be refused at once.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(_TAKE_LOCK)


def reason_of(problem: SQLAlchemyError) -> str:
    """What the database said, for a log: its first line alone, for PostgreSQL tells the values of a row below it."""
    said = getattr(problem, "orig", None) or problem
    return f"{type(said).__name__}: {str(said).strip().partition(chr(10))[0]}"


def is_unavailable(problem: BaseException) -> bool:
    """Whether the database cannot take anything now (locked, disk full, gone), so that trying again makes sense."""
    return isinstance(problem, OperationalError | InterfaceError)


def is_damaged(problem: BaseException) -> bool:
    """Whether a SQLite file holds what cannot be there: a disk or a copy has gone wrong, and people must see to it."""
    reason = str(getattr(problem, "orig", problem)).lower()
    return isinstance(problem, DBAPIError) and any(sign in reason for sign in _DAMAGED)


def is_full(problem: BaseException) -> bool:
    """Whether the disk, or the room that the database may have, is full."""
    reason = str(getattr(problem, "orig", problem)).lower()
    return is_unavailable(problem) and ("disk is full" in reason or "no space" in reason or "disk full" in reason)


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what to do on conflict, which both databases spell alike but SQLAlchemy apart."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def write_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement for each of `rows`, which have the same keys. For statements that are made once and executed
    with many rows again and again: they go to the driver as they were compiled the first time, which takes a third of
    the time. Columns are of types that drivers take as they are.
    """
    if rows:
        text, names, constants = _compiled(connection.dialect, statement, tuple(rows[0]))
        if constants:
            rows = [{**constants, **row} for row in rows]
        given: Any = list(map(itemgetter(*names), rows)) if names else list(rows)
        connection.exec_driver_sql(text, given)


@lru_cache(maxsize=128)
def _compiled(dialect: Dialect, statement: Any, columns: tuple[str, ...]) -> tuple[str, list[str], dict[str, Any]]:
    """The SQL, the names of its parameters in their order (empty where they go by name), and those that are the same
    for all rows.
    """
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    constants = {name: value for name, value in compiled.params.items() if name not in columns}
    return str(compiled), list(compiled.positiontup or ()), constants


def add_up(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], add: Sequence[str]) -> None:
    """Insert `rows`; where a row with the same primary key is there, add the columns `add` to it."""
    write_many(connection, _adding(connection.dialect.name, table, tuple(add)), rows)


@lru_cache
def _adding(dialect: str, table: Table, add: tuple[str, ...]) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    sums = {name: table.c[name] + statement.excluded[name] for name in add}
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_=sums)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that break no unique constraint; the others are there already."""
    write_many(connection, _if_new(connection.dialect.name, table), rows)


@lru_cache
def _if_new(dialect: str, table: Table) -> Any:
    return (sqlite if dialect == "sqlite" else postgresql).insert(table).on_conflict_do_nothing()


def take_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """Ids for `count` new rows of a table with a sequence, which nobody else gets; begin_writing() goes before."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        first = (last.scalar() or 0) + 1
        return list(range(first, first + count))
    ids = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
    return sorted(connection.execute(ids, {"name": table.name, "count": count}).scalars())


def bytes_used(connection: Connection) -> int:
    """How many bytes of storage the database's content takes; what was freed and can be used again does not count.

    PostgreSQL does not tell the latter, so that there the documents are added up, before compression.
    """
    if connection.dialect.name == "sqlite":
        pages, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size
    held = text("SELECT coalesce(sum(size), 0) + count(*) * :each FROM traces")
    others = text(
        "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_stat_user_tables "
        "WHERE relname NOT IN ('traces', 'trace_documents')"
    )
    return int(connection.execute(held, {"each": _OVERHEAD}).scalar_one()) + int(
        connection.execute(others).scalar_one()
    )
