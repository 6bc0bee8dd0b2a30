"""What must hold when something is full, locked, killed, or too much."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from metlo_otel.collector import queries
from metlo_otel.collector.database import bytes_used
from metlo_otel.collector.intake import MAX_BODY, MAX_WAITING
from metlo_otel.collector.schema import DOCUMENTS, ENDPOINTS, MINUTES, TOTALS, TRACES
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.upkeep import Limits, _shrink
from tests.collector.client import KEY, READ_KEY, Client, make_trace

_DAY = 86_400_000


def _trace(path: str, size: int = 0, status: int = 200) -> Trace:
    sent = make_trace(path, status)
    sent["response"]["body"] = "x" * size
    return read_trace(sent, 2)


def _set_pages(connection: Connection, more: int | None) -> int:
    """Give the database so many pages more, or as many as it likes."""
    now: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    most = 4_000_000_000 if more is None else now + more
    return int(connection.exec_driver_sql(f"PRAGMA max_page_count={most}").scalar_one())


def test_a_full_disk(client: Client, collector: RunningCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is answered with 503 and Retry-After and not stored; all that was acknowledged is there, and
    once there is room again batches are taken.
    """
    collector.store.change(lambda connection: _set_pages(connection, 60)).result()
    big = make_trace("/big")
    big["response"]["body"] = "x" * 20_000
    answers = [client.post([big] * 2) for _ in range(30)]
    taken = sum(answer.status_code == 200 for answer in answers)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert taken >= 1
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert [item["calls"] for item in client.items("endpoints")] == [2 * taken]
    assert len(client.items("traces", limit=500)) == 2 * taken
    collector.store.change(lambda connection: _set_pages(connection, None)).result()
    assert client.post([big]).text == "OK"


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock, batches get 503 with Retry-After; afterwards they are taken."""
    monkeypatch.setattr("metlo_otel.collector.database._LOCKED_AFTER", 0.1)
    path = str(tmp_path / "x.db")
    with RunningCollector(path, KEY, read_key=READ_KEY) as collector:
        client, other = Client(collector.url), sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        refused = client.post([make_trace()])
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        other.rollback()
        other.close()
        assert client.post([make_trace()]).text == "OK"
        assert [item["calls"] for item in client.items("endpoints")] == [1]
        client.session.close()


def test_a_killed_collector_has_kept_what_it_acknowledged(tmp_path: Path) -> None:
    """SIGKILL in the middle of it: every batch that got its 200 is there after the next start."""
    path = str(tmp_path / "x.db")
    command = [sys.executable, "-m", "metlo_otel.cli", "collector", "--port", "0", "--db", path]
    environment = {**os.environ, "METLO_KEY": KEY, "METLO_DASHBOARD_PASSWORD": "a long password"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+\d", line)))
        client, taken = Client(url), 0
        for number in range(20):
            taken += client.post([make_trace(f"/p/{number}")] * 5).text == "OK"
        process.send_signal(signal.SIGKILL)
        client.session.close()
    store = Store(path, duties=False)
    assert (
        store.read(lambda connection: queries.totals(connection, 0, int(time.time() * 1000)))["calls"]
        == 5 * taken
        == 100
    )
    store.close()


def test_a_million_paths(tmp_path: Path) -> None:
    """However many paths a scanner tries, there are no more endpoints than may be, and every call is counted."""
    store = Store(str(tmp_path / "x.db"), Limits(endpoints=200), duties=False)
    for start in range(0, 5_000, 500):
        store.add([_trace(f"/{number:x}-word-{number}/zq") for number in range(start, start + 500)]).result()
    store.keep_up()
    count = store.read(lambda connection: connection.execute(select(func.count()).select_from(ENDPOINTS)).scalar_one())
    assert count <= 201
    assert store.read(lambda connection: queries.totals(connection, 0, int(time.time() * 1000)))["calls"] == 5_000
    calls = store.read(lambda connection: connection.execute(select(func.sum(ENDPOINTS.c.calls))).scalar_one())
    assert calls == 5_000
    store.close()


def test_many_values_are_one_parameter(tmp_path: Path) -> None:
    """Segments that look like words but have too many values become a parameter; a route that a framework tells later
    takes over what was guessed.
    """
    store = Store(str(tmp_path / "x.db"), duties=False)
    store.add([_trace(f"/users/{name}/orders") for name in _names(30)]).result()
    store.keep_up()
    (endpoint,) = store.read(partial(queries.find_endpoints, parameters={})).items
    assert (endpoint["path"], endpoint["calls"], endpoint["inferred"]) == ("/users/{param1}/orders", 30, True)
    told = make_trace("/users/zoe/orders")
    told["request"]["url"]["endpointPath"] = "/users/{name}/orders"
    store.add([read_trace(told, 2)]).result()
    (endpoint,) = store.read(partial(queries.find_endpoints, parameters={})).items
    assert (endpoint["path"], endpoint["calls"], endpoint["inferred"]) == ("/users/{name}/orders", 31, False)
    assert len(store.read(partial(queries.find_traces, parameters={})).items) == 31
    store.close()


def _names(count: int) -> list[str]:
    return [f"{chr(97 + number // 26)}{chr(97 + number % 26)}na" for number in range(count)]


def test_size_and_age(tmp_path: Path) -> None:
    """The oldest traces go when the database is too large or they are too old; counts stay, by the hour."""
    store = Store(str(tmp_path / "x.db"), Limits(size=2_000_000, trace_days=1, minute_days=0.5), duties=False)
    store.add([_trace(f"/big/{number}", 50_000) for number in range(80)]).result()
    assert store.read(bytes_used) > 3_000_000
    store.keep_up()
    assert store.read(bytes_used) < 2_200_000
    left = [item["id"] for item in store.read(partial(queries.find_traces, parameters={"limit": "500"})).items]
    assert left == list(range(80, 80 - len(left), -1))
    assert store.read(
        lambda connection: connection.execute(select(func.count()).select_from(DOCUMENTS)).scalar()
    ) == len(left)
    store.change(_make_old).result()
    store.keep_up()
    assert store.read(queries.count_traces) == 0
    assert store.read(lambda connection: connection.execute(select(func.sum(TOTALS.c.calls))).scalar()) == 80
    minutes = store.read(lambda connection: connection.execute(select(MINUTES.c.minute)).scalars().all())
    assert {minute % 60 for minute in minutes} == {0}
    store.close()


def _make_old(connection: Connection) -> None:
    """As if everything had come two days ago."""
    connection.execute(update(TRACES).values(received=TRACES.c.received - 2 * _DAY))
    for table in (MINUTES, TOTALS):
        connection.execute(update(table).values(minute=table.c.minute - 2 * 24 * 60))


@pytest.mark.parametrize(
    "change",
    [
        lambda trace: trace["request"]["headers"].append({"name": "X", "value": "y" * 1_900_000}),
        lambda trace: trace["request"]["headers"].extend({"name": f"X-{n}", "value": "y"} for n in range(30_000)),
        lambda trace: trace["request"]["url"].update(path="/" + "a/" * 500_000),
        lambda trace: trace["request"]["url"].update(host="h" * 1_000_000),
        lambda trace: trace["processedTraceData"].update(
            dataTypes={f"resBody.f{n}": ["string"] for n in range(40_000)}
        ),
        lambda trace: trace["processedTraceData"].update(
            attackDetections={f"reqQuery.f{n}": ["XSS"] for n in range(9_000)}
        ),
        lambda trace: trace["sessionMeta"].update(user="u" * 1_000_000, uniqueSessionKey="\0" * 100_000),
    ],
)
def test_huge_parts(client: Client, change: Any) -> None:
    """A trace with huge parts is stored, and everything that lists it goes on."""
    trace = make_trace()
    change(trace)
    assert client.post([trace]).text == "OK"
    (found,) = client.items("traces")
    assert client.read(f"/api/v1/traces/{found['id']}").json()["trace"]["response"] == trace["response"]
    for what in ("endpoints", "attacks", "actors", "alerts"):
        client.items(what)
    assert client.post([make_trace()]).text == "OK"


@pytest.mark.parametrize("slice_of", [2_000, 10])
def test_interesting_traces_outlast_ordinary_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_of: int
) -> None:
    """A database that is too large loses its ordinary traces first, newer ones too, however many steps that takes; and
    interesting ones only when nothing else is left.
    """
    monkeypatch.setattr("metlo_otel.collector.upkeep._SLICE", slice_of)
    store = Store(str(tmp_path / "x.db"), Limits(size=1_700_000), duties=False)
    store.add([_trace(f"/failed/{number}", 50_000, 500) for number in range(20)]).result()
    store.add([_trace(f"/fine/{number}", 50_000) for number in range(40)]).result()
    store.keep_up()
    left = [item["status"] for item in store.read(partial(queries.find_traces, parameters={"limit": "500"})).items]
    assert left.count(500) == 20
    assert 0 < left.count(200) < 40
    for _ in range(8):
        store.change(partial(_shrink, size=1)).result()
        remaining = store.read(partial(queries.find_traces, parameters={"limit": "500"})).items
        assert len([item for item in remaining if item["status"] == 500]) in (20, 10, 0)
    assert store.read(queries.count_traces) == 0
    store.close()


def _with_alerts(path: str) -> Trace:
    """A trace that raises an alert about an attack, beside the one about a new endpoint."""
    sent = make_trace(path)
    sent["processedTraceData"]["attackDetections"] = {"reqQuery.q": ["SQLI"]}
    return read_trace(sent, 2)


def test_merged_endpoints_keep_their_alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was raised about endpoints that turn out to be one is told of that one; that each was new is not."""
    monkeypatch.setattr("metlo_otel.collector.watching.LEARNING", -60_000)
    store = Store(str(tmp_path / "x.db"), duties=False)
    store.add([_with_alerts(f"/users/{name}/orders") for name in _names(30)]).result()
    before = store.read(partial(queries.find_alerts, parameters={"limit": "500"})).items
    raised = sorted(alert["id"] for alert in before if alert["kind"] != "new_endpoint")
    assert len(raised) == 30
    store.keep_up()
    (endpoint,) = store.read(partial(queries.find_endpoints, parameters={})).items
    after = store.read(partial(queries.find_alerts, parameters={"limit": "500"})).items
    assert sorted(alert["id"] for alert in after) == raised
    assert {alert["endpoint"] for alert in after} == {endpoint["id"]}
    assert {alert["count"] for alert in after} == {1}
    store.close()


def _large(text: bytes) -> bytes:
    """`text` within 2 MB of white space, which takes 2 KB on the way."""
    return gzip.compress(text + b" " * (MAX_BODY - len(text)), 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 200), (b"[", 400), (b"[]" + b" " * 10, 413), (json.dumps([make_trace()]).encode(), 200)],
    ids=["empty", "broken", "too large", "a trace"],
)
def test_room_is_given_back(client: Client, body: bytes, status: int) -> None:
    """However a POST ends, the room that its body took is there for the next: more passes than may be held at once."""
    packed = gzip.compress(body + b" " * MAX_BODY, 1) if status == 413 else _large(body)
    for _ in range(MAX_WAITING // MAX_BODY + 2):
        assert client.post(packed, Content_Encoding="gzip").status_code == status
