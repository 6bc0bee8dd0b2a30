"""The store: what is written, counted, kept, and what happens when writing fails."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from metlo_otel.collector.database import DatabaseError, is_unavailable, open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.keys import list_keys
from metlo_otel.collector.queries import FilterError, count_traces, find_endpoints, find_traces, read_one
from metlo_otel.collector.schema import ENDPOINTS, MINUTES, SETTINGS
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.writer import BusyError, Writer
from tests.collector.client import make_trace

NOW = 1_700_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def _trace(path: str = "/items/1", status: int = 200, **more: object) -> Trace:
    return read_trace(make_trace(path, status, **more), 2)


def _nothing(_connection: Connection, _batch: object) -> None:
    """Write nothing."""


def test_what_was_acknowledged_is_there_after_a_crash(store: Store, path: str) -> None:
    """Once the future is done another process sees the traces, although this one never closed anything."""
    store.add([_trace(), _trace("/other")]).result()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM traces").fetchone() == (2,)
    other.close()


def test_counts(store: Store) -> None:
    """Calls, statuses, errors, attacks and blocks are counted, over several batches."""
    attack = {"block": True, "attackDetections": {"reqQuery.q": ["XSS"]}}
    store.add([_trace(), _trace(status=404), _trace(status=500)]).result()
    store.add([_trace(), _trace(status=403, processedTraceData=attack)]).result()
    (endpoint,) = store.read(lambda connection: find_endpoints(connection, {})).items
    assert (endpoint["calls"], endpoint["path"]) == (5, "/items/{param1}")
    assert endpoint["statuses"] == {"200": 2, "403": 1, "404": 1, "500": 1}
    names = ("calls", "client_errors", "server_errors", "attacks", "blocked")
    sums = store.read(
        lambda connection: connection.execute(select(*[func.sum(MINUTES.c[name]) for name in names])).one()
    )
    assert tuple(sums) == (5, 2, 1, 1, 1)


def test_a_partial_trace_only_counts(store: Store) -> None:
    """A partial trace counts a call and is not kept, unless an attack was seen in it."""
    found = {"attackDetections": {"reqBody": ["SQLI"]}}
    store.add([_trace(analysisType="partial"), _trace(analysisType="partial", processedTraceData=found)]).result()
    (endpoint,) = store.read(lambda connection: find_endpoints(connection, {})).items
    (trace,) = store.read(lambda connection: find_traces(connection, {})).items
    assert endpoint["calls"] == 2
    assert trace["attacks"] == ["SQLI"]


def test_only_the_latest_are_kept(path: str) -> None:
    """Of each endpoint the latest traces are kept and no more than some over; other endpoints are left alone."""
    engine, ingest = open_database(path), Ingest(kept=10)
    with engine.begin() as connection:
        ingest.write(connection, [_trace("/rare")], NOW)
    for number in range(20):
        with engine.begin() as connection:
            ingest.write(connection, [_trace("/busy", 200 + number)] * 9, NOW + number * 1000)
    with engine.connect() as connection:
        kept = find_traces(connection, {"path": "/busy", "limit": "500"}).items
        assert len(find_traces(connection, {"path": "/rare"}).items) == 1
    engine.dispose()
    assert 10 <= len(kept) <= 60
    assert [trace["status"] for trace in kept[:10]] == [219] * 9 + [218]


def test_the_inventory_is_bounded(path: str) -> None:
    """Once there are as many endpoints as there may be, the rest is counted in one for each method."""
    engine, ingest = open_database(path), Ingest(max_endpoints=5)
    with engine.begin() as connection:
        ingest.write(connection, [_trace(f"/scan-{word}") for word in "abcdefghij"], NOW)
        assert connection.execute(select(func.count()).select_from(ENDPOINTS)).scalar_one() == 6
        other = find_endpoints(connection, {"path": "/*"}).items
    engine.dispose()
    assert [(item["host"], item["calls"]) for item in other] == [("*", 5)]


def test_a_failure_is_its_own(store: Store) -> None:
    """Work that fails takes nothing else of its transaction with it, and endpoints are found again afterwards."""

    def fail(connection: Connection) -> None:
        connection.execute(insert(SETTINGS), [{"name": "x", "value": "1", "changed": 1}] * 2)

    gate = threading.Event()
    store.change(lambda _connection: gate.wait(5))
    good, bad, better = store.add([_trace("/new")]), store.change(fail), store.add([_trace("/new")])
    gate.set()
    assert good.exception() is None
    assert better.exception() is None
    assert isinstance(bad.exception(), IntegrityError)
    (endpoint,) = store.read(lambda connection: find_endpoints(connection, {})).items
    assert endpoint["calls"] == store.read(count_traces) == 2


def test_a_full_queue_says_so(path: str) -> None:
    """The writer takes no more than its limit, does all it took before it ends, and takes nothing after that."""
    engine = open_database(path)
    writer = Writer(engine, _nothing, _nothing, lambda: None, limit=2)
    gate, started = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        started.set()
        gate.wait(5)

    writer.submit(hold)
    assert started.wait(5)
    waiting = [writer.submit(lambda _connection: 1) for _ in range(2)]
    with pytest.raises(BusyError):
        writer.submit(lambda _connection: 1)
    gate.set()
    writer.close()
    assert [future.result() for future in waiting] == [1, 1]
    with pytest.raises(BusyError):
        writer.submit(lambda _connection: 1)
    engine.dispose()


def test_a_locked_database_is_unavailable(path: str) -> None:
    """What another process's lock prevents is told apart from what is wrong, so that it can be tried again."""
    engine = open_database(path)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(OperationalError) as problem:
            Ingest().write(connection, [_trace()], NOW)
    other.close()
    engine.dispose()
    assert is_unavailable(problem.value)


def test_pages(store: Store) -> None:
    """Page by page everything is seen once, newest first, also while more arrives."""
    store.add([_trace(f"/p/{number}") for number in range(7)]).result()
    seen: list[int] = []
    parameters = {"limit": "3"}
    while True:
        page = store.read(partial(find_traces, parameters=parameters))
        seen += [item["id"] for item in page.items]
        store.add([_trace("/later")]).result()
        if page.next is None:
            break
        parameters = {"limit": "3", "before": str(page.next)}
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({}, 4),
        ({"status": "4xx"}, 2),
        ({"status": "404"}, 1),
        ({"path": "_b%"}, 1),
        ({"path": "/ITEMS"}, 3),
        ({"attack": "SQLI"}, 1),
        ({"blocked": "true"}, 1),
        ({"blocked": "false", "method": "get"}, 3),
        ({"source": "192.0.2.7", "host": "shop.example", "session": "abc=", "since": "1", "after": "2"}, 2),
        ({"user": "' OR 1=1 --"}, 0),
        ({"until": "1"}, 0),
    ],
)
def test_filters(store: Store, parameters: dict[str, str], count: int) -> None:
    """Filters narrow down together; wildcards of SQL in them are only text."""
    found = {"block": True, "attackDetections": {"reqQuery.q": ["SQLI"]}}
    store.add([_trace(), _trace(status=404), _trace("/a_b%/x"), _trace(status=403, processedTraceData=found)]).result()
    assert len(store.read(lambda connection: find_traces(connection, parameters)).items) == count


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "0"}, {"limit": "501"}, {"status": "many"}, {"since": "-1"}, {"before": "9" * 30}, {"colour": "blue"},
     {"blocked": "perhaps"}, {"path": "\0"}, {"before": "²"}],
)  # fmt: skip
def test_wrong_filters(store: Store, parameters: dict[str, str]) -> None:
    """A wrong or unknown filter is an error that names it, not an empty page."""
    (name,) = parameters
    with pytest.raises(FilterError, match=name):
        store.read(lambda connection: find_traces(connection, parameters))


def test_no_such_trace(store: Store) -> None:
    """A number that is not kept is nothing, one that is no number an error."""
    assert store.read(lambda connection: read_one(connection, "7")) is None
    with pytest.raises(FilterError):
        store.read(lambda connection: read_one(connection, "seven"))


def test_keys_are_kept_as_digests(path: str) -> None:
    """A made key is told once and survives a restart; the file holds no key; a given one replaces the one before."""
    store = Store(path)
    made = store.ensure_key()
    assert made
    assert store.keys.holds(made)
    store.close()
    store = Store(path)
    assert store.ensure_key() is None
    assert store.keys.holds(made)
    assert store.ensure_key("first-given") is None
    store.ensure_key("second-given")
    assert [store.keys.holds(key) for key in (made, "first-given", "second-given", "")] == [True, False, True, False]
    newest = store.ensure_key(new=True)
    assert newest
    assert store.keys.holds(newest)
    assert not store.keys.holds(made)
    store.close()
    assert all(key.encode() not in Path(path).read_bytes() for key in (made, newest, "second-given"))


def test_when_a_key_was_used_outlasts_a_restart(path: str) -> None:
    """A key that is given again at the next start is the same key: when it was made and used stays."""
    store = Store(path, duties=False)
    store.ensure_key("given")
    assert [key.last_used for key in store.read(list_keys)] == [None]
    assert store.keys.holds("given")
    store.note_uses()
    (used,) = store.read(list_keys)
    assert used.last_used is not None
    store.close()
    store = Store(path, duties=False)
    store.ensure_key("given")
    assert store.read(list_keys) == [used]
    store.close()


@pytest.mark.parametrize("key", ["", "   ", "clé", "a\nb", "x" * 513])
def test_keys_that_no_header_carries(store: Store, key: str) -> None:
    """Such a key is refused at the start, and the message does not tell it."""
    with pytest.raises(ValueError, match="printable ASCII") as problem:
        store.ensure_key(key)
    assert not key.strip() or key not in str(problem.value)


def test_the_file_is_private(store: Store, path: str) -> None:
    """Traces hold what passed through an app: nobody else on the machine may read them."""
    store.add([_trace()]).result()
    for file in Path(path).parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize("where", ["/no/such/directory/x.db", "nonsense://x", ":memory:", ""])
def test_databases_that_cannot_be_opened(where: str) -> None:
    """The error is one sentence about the database that was named."""
    with pytest.raises(DatabaseError):
        open_database(where)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file of something else is refused and left as it is."""
    file = tmp_path / "notes.txt"
    file.write_text("these are no tables, they are words" * 100)
    with pytest.raises(DatabaseError, match=r"notes\.txt"):
        open_database(str(file))
    assert file.read_text().startswith("these are no tables")
