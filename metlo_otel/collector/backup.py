"""Copies of the database, made while a collector runs on it, and put back. SQLite copies its own files; for PostgreSQL
its programs pg_dump and pg_restore do it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, delete, make_url

from metlo_otel.collector.database import DatabaseError, open_database
from metlo_otel.collector.schema_people import SESSIONS

_SQLITE, _DUMP = b"SQLite format 3\0", b"PGDMP"  # how the two kinds of copies begin
_BUSY = 1.0  # seconds that a look for others on a database may take


def back_up(where: str, to: Path) -> int:
    """Copy the database to a new file, readable by its owner alone; how many bytes that takes. What is committed while
    it is copied is not in it. Raises DatabaseError, and leaves nothing behind then.
    """
    if to.exists():
        raise DatabaseError(f"{to} is there already; a copy goes to a new file")
    part = to.with_name(f"{to.name}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as problem:
        raise DatabaseError(f"{part} cannot be made: {problem}") from problem
    try:
        if "://" in where and make_url(where).get_backend_name() == "postgresql":
            _run("pg_dump", make_url(where), "--format=custom", "--no-owner", "--no-privileges", f"--file={part}")
        else:
            _copy(_file_of(where), part)
        _sync(part)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return to.stat().st_size


def restore(copy: Path, where: str, replace: bool = False) -> None:
    """Make a database of a copy, brought up to date; one that is there is replaced if that is said, and nobody uses it.
    Sessions are ended, for some of them may have been ended since. Raises DatabaseError.
    """
    kind = _kind(copy)
    if "://" in where and make_url(where).get_backend_name() == "postgresql":
        _expect(kind, _DUMP, copy, "PostgreSQL")
        _restore_dump(copy, make_url(where), where, replace)
    else:
        _expect(kind, _SQLITE, copy, "SQLite")
        _restore_file(copy, _file_of(where), replace)


def _kind(copy: Path) -> bytes:
    try:
        with copy.open("rb") as file:
            return file.read(16)
    except OSError as problem:
        raise DatabaseError(f"{copy} cannot be read: {problem}") from problem


def _expect(kind: bytes, wanted: bytes, copy: Path, name: str) -> None:
    if not kind.startswith(wanted):
        raise DatabaseError(f"{copy} is no copy of a {name} database, which --db names")


def _file_of(where: str) -> Path:
    return Path(make_url(where).database or "") if "://" in where else Path(where)


def _copy(source: Path, to: Path) -> None:
    """All pages in one step: readers of a write-ahead log hold up nobody, and see one moment."""
    if not source.is_file():
        raise DatabaseError(f"there is no database {str(source)!r}")
    try:
        with closing(_connect(source)) as reading, closing(sqlite3.connect(to)) as writing:
            reading.backup(writing, pages=-1)
            writing.execute("PRAGMA journal_mode=DELETE")
            damage = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as problem:
        raise DatabaseError(f"{source} cannot be copied: {problem}") from problem
    if damage != "ok":
        raise DatabaseError(f"{source} is damaged, its copy would be too: {damage}")


def _connect(path: Path, timeout: float = 30.0) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=timeout)


def _restore_file(copy: Path, to: Path, replace: bool) -> None:
    if to.exists():
        if not replace:
            raise DatabaseError(f"{to} is there already; --replace puts the copy in its place")
        _require_unused(to)
    part = to.with_name(f"{to.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _copy(copy, part)
        _settle(str(part))
        with closing(_connect(part)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        _sync(part)
        for ending in ("-wal", "-shm"):  # of the database before; they would be taken for the new one's
            Path(f"{to}{ending}").unlink(missing_ok=True)
        part.replace(to)
    except (OSError, sqlite3.Error) as problem:
        raise DatabaseError(f"{to} cannot be written: {problem}") from problem
    finally:
        part.unlink(missing_ok=True)


def _require_unused(path: Path) -> None:
    """Leaving the write-ahead log needs a database to oneself."""
    try:
        with closing(_connect(path, _BUSY)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as problem:
        if "locked" in str(problem):
            raise DatabaseError(f"{path} is in use; end the collector first") from problem
        raise DatabaseError(f"{path} cannot be opened: {problem}") from problem
    except sqlite3.DatabaseError:  # what is no database any more is what one wants to replace
        return


def _settle(where: str) -> None:
    """Bring the tables up to date and end all sessions."""
    engine = open_database(where)
    try:
        with engine.begin() as connection:
            connection.execute(delete(SESSIONS))
    finally:
        engine.dispose()


def _restore_dump(copy: Path, url: URL, where: str, replace: bool) -> None:
    options = ["--clean", "--if-exists"] if replace else []
    _run("pg_restore", url, "--single-transaction", "--no-owner", "--no-privileges", *options, str(copy))
    _settle(where)


def _run(program: str, url: URL, *options: str) -> None:
    """One of PostgreSQL's programs on the database of `url`; the password is in no list of processes."""
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    named = url._replace(drivername="postgresql", password=None).render_as_string()
    command = [_find(program), "--no-password", f"--dbname={named}", *options]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our own list
    except OSError as problem:
        raise DatabaseError(f"{program} cannot be run: {problem}") from problem
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise DatabaseError(f"{program} failed: {said[0][:500]}")


def _find(program: str) -> str:
    """Where a program is, also where Debian has one for each version."""
    found = shutil.which(program) or _newest(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")))
    if found is None:
        raise DatabaseError(f"{program} is not installed; it comes with PostgreSQL's client (postgresql-client)")
    return found


def _newest(found: Sequence[Path]) -> str | None:
    versions = {int(path.parts[-3]): path for path in found if path.parts[-3].isdecimal()}
    return str(versions[max(versions)]) if versions else None


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
