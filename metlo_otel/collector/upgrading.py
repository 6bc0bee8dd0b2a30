"""What a look at a database tells of its tables, without changing anything."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from metlo_otel.collector.database import DatabaseError, bytes_used, connect_to, reason_of
from metlo_otel.collector.migrate import HEAD, revision_of


@dataclass(frozen=True, slots=True)
class State:
    """The revision of the tables (None: there are none) and the one that this version needs, the size in bytes, and
    what is damaged, empty where nothing is.
    """

    revision: str | None
    wanted: str
    size: int
    damage: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be changed."""
        return self.revision == self.wanted

    @property
    def is_newer(self) -> bool:
        """Whether a newer version made the tables; revisions are numbers with leading zeros."""
        return self.revision is not None and self.revision > self.wanted

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        names = ("revision", "wanted", "size", "damage")
        return {**{name: getattr(self, name) for name in names}, "current": self.is_current}


def look(where: str) -> State:
    """The state of a database that is there. Reads all of a SQLite file. Raises DatabaseError."""
    try:
        if "://" not in where and not Path(where).is_file():
            raise DatabaseError(f"there is no database {where!r}")
        engine = _reading(where)
        try:
            with engine.connect() as connection:
                return State(revision_of(connection), HEAD, bytes_used(connection), _damage(connection))
        finally:
            engine.dispose()
    except DBAPIError as problem:
        raise DatabaseError(f"the database {_shown(where)!r} cannot be read: {reason_of(problem)}") from problem
    except ArgumentError as problem:
        raise DatabaseError(f"--db: {problem}") from problem


def _reading(where: str) -> Engine:
    """A SQLite file is opened as it is, so that nothing of it changes, not even the kind of its journal."""
    if "://" in where and make_url(where).get_backend_name() != "sqlite":
        return connect_to(where)
    path = Path(make_url(where).database or "" if "://" in where else where)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return create_engine("sqlite+pysqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def _damage(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""  # PostgreSQL looks itself, where it has checksums
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if found != "ok":
        return str(found).strip().splitlines()[-1]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    return "" if lost is None else f"a row of {lost[0]} belongs to one of {lost[2]} that is not there"


def _shown(where: str) -> str:
    return make_url(where).render_as_string(hide_password=True) if "://" in where else where
