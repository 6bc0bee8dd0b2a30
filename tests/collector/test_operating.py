"""What keeps a collector running: its health, its metrics, copies of its database, and upgrades."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, create_engine, insert, text

from metlo_otel.cli import main
from metlo_otel.collector import queries
from metlo_otel.collector.backup import back_up, restore
from metlo_otel.collector.database import DatabaseError, begin_writing, connect_to, open_database
from metlo_otel.collector.keys import list_keys
from metlo_otel.collector.migrate import HEAD, upgrade
from metlo_otel.collector.schema import METADATA
from metlo_otel.collector.schema_people import SESSIONS
from metlo_otel.collector.schema_telling import DESTINATIONS
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import KEY, READ_KEY, Client, make_trace
from tests.collector.kept import started_before
from tests.dashboard.browser import PASSWORD, Browser


def test_healthy_and_ready(client: Client) -> None:
    """A collector that works says so to anybody, and tells nothing else."""
    for path in ("/healthz", "/readyz"):
        answer = client.get(path, headers={"Authorization": ""})
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert set(answer.json()["checks"].values()) == {"ok"}


def test_not_ready_while_nothing_can_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the lock: not ready, with the reason, but healthy, for a restart would not help."""
    monkeypatch.setattr("metlo_otel.collector.database._LOCKED_AFTER", 0.1)
    path = started_before(tmp_path)
    with RunningCollector(path, KEY) as collector:
        client, other = Client(collector.url), sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        refused = client.get("/readyz")
        other.rollback()
        other.close()
        assert refused.status_code == 503
        assert (refused.json()["checks"]["reading"], "locked" in refused.json()["checks"]["writing"]) == ("ok", True)
        assert client.get("/healthz").status_code == 200
        client.session.close()


def test_not_healthy_without_the_thread_that_writes(collector: RunningCollector, client: Client) -> None:
    """What only a restart mends is told as such."""
    collector.store._writer.close()
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "ended" in answer.json()["checks"]["writer"]


def test_metrics(client: Client) -> None:
    """Prometheus reads them with a key for reading; paths of strangers make no series."""
    client.post([make_trace(), make_trace("/other")])
    client.get("/nobody-knows-this")
    for refused in ("", KEY, f"Bearer {KEY}"):
        assert client.get("/metrics", headers={"Authorization": refused}).status_code == 401
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {READ_KEY}"})
    assert answer.status_code == 200
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["metlo_stored_total", "traces"] == 2
    assert samples["metlo_kept", "endpoints"] == 2
    assert samples["metlo_alerts_open", "low"] == 1  # endpoints of a host on its first day are one alert
    assert samples["metlo_http_requests_total", "2xx", "POST", "log-request"] == 1
    assert samples["metlo_http_requests_total", "4xx", "GET", "other"] == 1
    assert samples["metlo_database_bytes",] > 10_000
    assert "nobody-knows-this" not in answer.text


def test_a_copy_while_traces_come(database: str, tmp_path: Path) -> None:
    """A copy of a busy database is whole, and as it was at one moment; only its owner can read it."""
    store, ended = Store(database, duties=False), threading.Event()
    store.add([read_trace(make_trace("/first"), 2)]).result()

    def go_on() -> None:
        while not ended.is_set():
            store.add([read_trace(make_trace(f"/later/{number}"), 2) for number in range(20)]).result()

    writing = threading.Thread(target=go_on)
    writing.start()
    copy = tmp_path / "copy"
    try:
        assert back_up(database, copy) == copy.stat().st_size > 10_000
    finally:
        ended.set()
        writing.join()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy"]
    store.close()
    again = f"{database}-again"
    _make_empty(again)
    restore(copy, again)
    store = Store(again, duties=False)
    traces = store.read(queries.count_traces)
    calls = store.read(lambda connection: connection.execute(text("SELECT sum(calls) FROM endpoints")).scalar_one())
    assert (traces > 0, calls % 20) == (True, 1)
    store.add([read_trace(make_trace("/after"), 2)]).result()
    store.close()


def _make_empty(database: str) -> None:
    if "://" in database:
        engine = create_engine(database.rpartition("/")[0] + "/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{database.rpartition("/")[2]}"')
        engine.dispose()


def test_back_in_its_place(database: str, tmp_path: Path) -> None:
    """With --replace the copy is what the database was; what came since is gone, and everybody has to log in again."""
    copy, store = tmp_path / "copy", Store(database, duties=False)
    store.ensure_key("the-key-of-that-time")
    store.change(_add_session).result()
    back_up(database, copy)
    store.ensure_key("a-key-that-came-since")
    store.close()
    if "://" not in database:
        with pytest.raises(DatabaseError, match="is there already"):
            restore(copy, database)
    restore(copy, database, replace=True)
    store = Store(database, duties=False)
    assert store.keys.holds("the-key-of-that-time") is False  # not read yet
    store.keys.refresh()
    assert (store.keys.holds("the-key-of-that-time"), store.keys.holds("a-key-that-came-since")) == (True, False)
    assert store.read(lambda connection: connection.execute(SESSIONS.select()).all()) == []
    store.close()


def _add_session(connection: Connection) -> None:
    named = {"digest": b"x" * 32, "name": "ada", "way": "password", "address": "", "browser": ""}
    connection.execute(insert(SESSIONS), {**named, "made": 1, "seen": 1, "ends": 2})


def test_a_database_in_use_is_not_replaced(collector: RunningCollector, tmp_path: Path) -> None:
    """A running collector would go on with what is not there any more."""
    path, copy = str(tmp_path / "test.db"), tmp_path / "copy"
    back_up(path, copy)
    with pytest.raises(DatabaseError, match="in use; end the collector first"):
        restore(copy, path, replace=True)
    assert Client(collector.url).get("/readyz").status_code == 200


@pytest.mark.parametrize("content", [b"", b"no database", b"PGDMP" + b"x" * 20, b"SQLite format 3\0" + b"x" * 5_000])
def test_what_is_no_copy(tmp_path: Path, content: bytes) -> None:
    """It is refused, and nothing is left of the attempt."""
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"no copy of a SQLite|cannot be copied|damaged"):
        restore(copy, str(tmp_path / "new.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_no_copy_over_a_file(tmp_path: Path) -> None:
    """A file that is there is left alone."""
    path, there = started_before(tmp_path), tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(DatabaseError, match="there already"):
        back_up(path, there)
    assert there.read_text() == "mine"


def test_check_and_upgrade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`db check` tells what there is to do and changes nothing; `db upgrade` does it, after a copy if one is wanted."""
    path = str(tmp_path / "old.db")
    _make_of(path, "0002")
    before = Path(path).read_bytes()
    assert main(["db", "check", "--db", path]) == 1
    assert main(["db", "check", "--db", path, "--json"]) == 1
    assert (Path(path).read_bytes(), sorted(each.name for each in tmp_path.iterdir())) == (before, ["old.db"])
    assert f"Revision 0002; `metlo-otel db upgrade`, or the collector's next start, makes it {HEAD}." in (
        said := capsys.readouterr().out
    )
    assert json.loads(said.splitlines()[-1])["current"] is False
    assert main(["db", "upgrade", "--db", path, "--backup", str(tmp_path / "copy")]) == 0
    assert main(["db", "check", "--db", path]) == 0
    assert main(["db", "check", "--db", str(tmp_path / "copy")]) == 1
    assert f"of revision {HEAD} now, before of 0002" in capsys.readouterr().out
    assert main(["db", "check", "--db", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_an_install_of_before(tmp_path: Path) -> None:
    """Its key, its password and its people's names go on as they were, whatever is new."""
    path, salt = str(tmp_path / "old.db"), b"s" * 16
    digest = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
    ring = {"password": f"scrypt$32768$8$1${salt.hex()}${digest.hex()}", "secret": "ab" * 32, "ended": {"x": 1}}

    def fill(connection: Connection) -> None:
        _keep(connection, "dashboardAccess", ring)
        key = {"digest": hashlib.sha256(KEY.encode()).digest(), "no": False}
        kept = "INSERT INTO api_keys (name, digest, hint, made, reads) VALUES ('given at the start', :digest, 'a-', 1, "
        connection.execute(text(kept + ":no)"), key)

    _make_of(path, "0002", fill)
    with RunningCollector(path, KEY, read_key=READ_KEY) as collector:
        assert collector.password is None  # none was made
        client, browser = Client(collector.url), Browser(collector.url)
        assert client.post([make_trace()]).text == "OK"
        assert browser.log_in("another password").status_code == 403
        assert browser.log_in(PASSWORD, "grace").status_code == 303
        for page in ("", "settings", "users", "account", "notifications"):
            assert browser.get(f"/dashboard/{page}").status_code == 200
        browser.post("/dashboard/rules/watch", watching="on")
        entries = collector.store.read(lambda connection: queries.find_audit(connection, {})).items
        assert (entries[0]["who"], entries[0]["action"]) == ("grace (127.0.0.1)", "rules.watch")
        client.session.close()


def test_webhooks_of_before(tmp_path: Path) -> None:
    """They are destinations that are told of everything, with their secrets."""
    path, kept = str(tmp_path / "old.db"), [{"url": "https://hooks.example/x", "secret": "s" * 16}]
    _make_of(path, "0002", lambda connection: _keep(connection, "webhooks", kept))
    engine = open_database(path)
    with engine.connect() as connection:
        (row,) = connection.execute(DESTINATIONS.select())
        assert (row.kind, row.url, row.secret, row.rules, row.enabled) == (
            "webhook",
            "https://hooks.example/x",
            "s" * 16,
            "{}",
            True,
        )
        assert list_keys(connection) == []
    engine.dispose()


def _keep(connection: Connection, name: str, value: object) -> None:
    connection.execute(
        text("INSERT INTO settings (name, value, changed) VALUES (:name, :value, 1)"),
        {"name": name, "value": json.dumps(value)},
    )


def _make_of(where: str, revision: str, fill: Callable[[Connection], None] = lambda _: None) -> None:
    """A database as the version of a revision left it."""
    Path(where).touch()
    engine = connect_to(where)
    with engine.connect() as connection:
        begin_writing(connection)
        upgrade(connection, None, revision)
        fill(connection)
        connection.commit()
    engine.dispose()


def test_the_tables_are_what_the_migrations_make(database: str) -> None:
    """Nothing that the code knows is missing in the migrations, nor the other way round."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
