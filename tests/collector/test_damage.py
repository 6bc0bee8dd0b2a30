"""A database that is damaged is noticed: at the start, and while the collector runs."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from metlo_otel.collector import answers, database
from metlo_otel.collector.database import DatabaseError, open_database
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from metlo_otel.core.guard import RateLimitedLog
from tests.collector.client import KEY, READ_KEY, Client, make_trace

PAGE = 4096


def filled(path: Path) -> None:
    """A database with some hundred traces, all of it in the one file."""
    store = Store(str(path), duties=False)
    for number in range(5):
        sent = [make_trace(f"/{name}-{number}") for name in ("tea", "cup", "pot", "tin", "urn")]
        store.add([read_trace(trace, 2) for trace in sent for _ in range(20)]).result()
    store.close()
    into_one_file(path)


def into_one_file(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()


def zero_the_middle(path: Path) -> None:
    """As a disk gives back sectors that it has lost."""
    with path.open("r+b") as file:
        file.seek(4 * PAGE)
        file.write(bytes(path.stat().st_size - 4 * PAGE))


def garble(path: Path) -> None:
    """As another program writes over it."""
    with path.open("r+b") as file:
        file.seek(2 * PAGE)
        file.write(b"\xa5garbage" * ((path.stat().st_size - 2 * PAGE) // 8))


def cut(path: Path) -> None:
    """As a copy ends that was broken off."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def overwrite_the_beginning(path: Path) -> None:
    """As it is after a restore of the wrong file."""
    with path.open("r+b") as file:
        file.write(b"PK\x03\x04" * 1024)


def lose_one_page(path: Path) -> None:
    """As a single sector goes, far from what a start reads."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE * 3 // 4 * PAGE)
        file.write(bytes(PAGE))


DAMAGES = (lose_one_page, zero_the_middle, garble, cut, overwrite_the_beginning)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_at_the_start(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """The collector does not start on a damaged file; it names the file and what is wrong, and leaves it as it is."""
    path = tmp_path / "x.db"
    filled(path)
    open_database(str(path)).dispose()
    into_one_file(path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match=r"x\.db.*(damaged|malformed|not a database)"):
        open_database(str(path))
    assert path.read_bytes() == before


def test_the_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too large to be read in time is opened: what is wrong with it is found while the collector runs."""
    filled(tmp_path / "x.db")
    monkeypatch.setattr(database, "_CHECKING", -1.0)
    monkeypatch.setattr(database, "_CHECKED_EVERY", 1)
    engine = open_database(str(tmp_path / "x.db"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM traces").scalar_one() == 500  # nothing interrupts it
    engine.dispose()


@pytest.mark.parametrize("damage", [zero_the_middle, garble], ids=lambda damage: damage.__name__)
def test_damage_while_it_runs(
    tmp_path: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Agents get 503 and keep what they have, readers and pages 503, and the log says once what has happened."""
    monkeypatch.setattr(database, "_CACHE", 1)  # KiB, so that pages are read from the file again
    monkeypatch.setattr(answers, "_RARELY", RateLimitedLog(answers.LOG))
    path = tmp_path / "x.db"
    filled(path)
    with RunningCollector(str(path), KEY, password="a long password", read_key=READ_KEY) as collector:
        client = Client(collector.url)
        assert client.post([make_trace()]).text == "OK"
        into_one_file(path)
        damage(path)
        with caplog.at_level(logging.ERROR, "metlo_otel.collector"):
            posted = [client.post([make_trace("/tea-1")]) for _ in range(3)]
            read = client.read("/api/v1/traces")
        client.session.close()
    assert {answer.status_code for answer in posted} == {503}
    assert {answer.headers["Retry-After"] for answer in posted} == {"60"}
    assert read.status_code == 503
    told = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert len(told) == 1
    assert ".recover" in told[0]
