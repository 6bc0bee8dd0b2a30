"""What agents count of all their requests: taken in, added up once, bounded, and told as percentiles."""

from __future__ import annotations

import gzip
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text, update

from metlo_otel.collector import queries
from metlo_otel.collector.database import connect_to, open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.jsontext import read_json
from metlo_otel.collector.latencies import pack, unpack
from metlo_otel.collector.migrate import HEAD, upgrade
from metlo_otel.collector.schema import ACTORS, ENDPOINTS, LATENCIES, MINUTES, STATUSES, TOTAL_LATENCIES, TOTALS
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.sums import together
from metlo_otel.collector.sums_wire import MAX_ACTORS, MAX_SERIES, SumsReader
from metlo_otel.collector.trace import Trace, TraceError, read_trace
from metlo_otel.collector.upkeep import Limits
from metlo_otel.core.histogram import Histogram
from tests.collector.client import READ_KEY, Client, make_trace
from tests.collector.sums import make_document, make_key, make_sums

PLACE = "v1/aggregates"
NOW = 1_700_000_000_000


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database, Limits(endpoints=40), duties=False)
    yield store
    store.close()


def _trace(path: str = "/items/1", status: int = 200, duration: int | None = None, **more: Any) -> Trace:
    sent = make_trace(path, status, **more)
    sent["request"]["url"]["endpointPath"] = "/items/{id}"
    sent["meta"]["durationMicroseconds"] = duration
    return read_trace(sent, 2)


def _endpoints(store: Store) -> dict[str, dict[str, Any]]:
    page = store.read(partial(queries.find_endpoints, parameters={"limit": "500"}))
    return {f"{item['method']} {item['host']}{item['path']}": item for item in page.items}


def _sum(store: Store, column: Any) -> int:
    return int(store.read(lambda connection: connection.execute(select(func.sum(column))).scalar()) or 0)


def _count(store: Store, table: Any) -> int:
    return store.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_over_http(client: Client) -> None:
    """A document is taken, compressed or not, with an agent's key alone, and shows at once in what is read."""
    body = json.dumps(make_document([make_key()], [1_000.0] * 20, actors=[("address", "203.0.113.9")])).encode()
    assert client.post(body, PLACE).text == "OK"
    assert client.post(gzip.compress(body), PLACE, Content_Encoding="gzip").text == "OK"
    assert client.post(body, PLACE, Authorization=READ_KEY).status_code == 401
    assert client.post(body, PLACE, Content_Type="text/plain").status_code == 415
    assert client.post(b" " * 2_097_153, PLACE).status_code == 413
    (endpoint,) = client.items("endpoints")
    assert (endpoint["path"], endpoint["calls"], endpoint["statuses"]) == ("/items/{id}", 40, {"200": 40})
    assert endpoint["latency"] == {"p50": 1_000, "p95": 1_000, "p99": 1_000, "calls": 40}
    assert endpoint["sizes"] == {"requestBytes": 4_000, "responseBytes": 80_000, "calls": 40}
    assert [(item["value"], item["calls"]) for item in client.items("actors")] == [("203.0.113.9", 40)]
    assert client.items("traces") == []


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


_SERIES, _LATENCY, _ACTOR = ("series", 0), ("series", 0, "latency"), ("actors", 0)
_BROKEN: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    ("version", _set("version", to=2)),
    ("version", _set("version", to=True)),
    ("started", _set("started", to="now")),
    ("ended", _set("ended", to=-1)),
    ("environment", _set("environment", to=7)),
    ("service", _set("service", to=["x"])),
    ("series", _set("series", to=None)),
    ("series", _set("series", to={})),
    ("actors", _set("actors", to="many")),
    ("overflow", _set("overflow", to=[7])),
    ("actors", _set("overflow", to={"actors": -1})),
    ("series[0]", _set(*_SERIES, to="x")),
    ("series[0].host", _set(*_SERIES, "host", to=None)),
    ("series[0].host", _set(*_SERIES, "host", to=["x"])),
    ("series[0].method", _set(*_SERIES, "method", to=7)),
    ("series[0].route", _set(*_SERIES, "route", to={})),
    ("series[0].path", _set(*_SERIES, "path", to=1)),
    ("series[0].status", _set(*_SERIES, "status", to=99)),
    ("series[0].status", _set(*_SERIES, "status", to="200")),
    ("series[0].requestType", _set(*_SERIES, "requestType", to=False)),
    ("series[0].responseType", _set(*_SERIES, "responseType", to=7)),
    ("series[0].authentication", _set(*_SERIES, "authentication", to="magic")),
    ("series[0].source", _set(*_SERIES, "source", to=None)),
    ("series[0].calls", _set(*_SERIES, "calls", to=0)),
    ("series[0].calls", _set(*_SERIES, "calls", to=1.0)),
    ("series[0].calls", _set(*_SERIES, "calls", to=10**30)),
    ("series[0].blocked", _set(*_SERIES, "blocked", to=2)),
    ("series[0].requestBytes", _set(*_SERIES, "requestBytes", to=10**15)),
    ("series[0].responseBytes", _set(*_SERIES, "responseBytes", to=None)),
    ("series[0].latency", _set(*_LATENCY, to=None)),
    ("series[0].latency", _set(*_LATENCY, "counts", to=[2])),
    ("series[0].latency", _set(*_LATENCY, "counts", to=[1, True])),
    ("series[0].latency", _set(*_LATENCY, "counts", to=[0] * 161)),
    ("series[0].latency", _set(*_LATENCY, "offset", to=2**31)),
    ("series[0].latency", _set(*_LATENCY, "scale", to=-11)),
    ("series[0].latency", _set(*_LATENCY, "max", to=1e300)),
    ("actors[0].kind", _set(*_ACTOR, "kind", to="robot")),
    ("actors[0].value", _set(*_ACTOR, "value", to=None)),
    ("actors[0].calls", _set(*_ACTOR, "calls", to="1")),
    ("actors[0].serverErrors", _set(*_ACTOR, "serverErrors", to=2)),
    ("actors[0].blocked", _set(*_ACTOR, "blocked", to=-1)),
]


@pytest.mark.parametrize(("where", "change"), _BROKEN)
def test_what_is_wrong_is_named(where: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Every part that cannot be what it should be is an error with its place; what was read before is as it was."""
    reader, document = SumsReader(), make_document([make_key()], actors=[("address", "192.0.2.1")])
    assert reader.read(document).series
    change(document)
    with pytest.raises(TraceError) as problem:
        reader.read(document)
    assert problem.value.where == where


def test_a_wrong_document_stores_nothing(client: Client) -> None:
    """It is answered with 400, in words, and the next one is taken; so is one that is no object, or too long a list."""
    wrong = make_document([make_key(), make_key("/other")])
    wrong["series"][1]["status"] = "fine"
    answer = client.post(wrong, PLACE)
    assert (answer.status_code, "series[1].status" in answer.json()["error"]) == (400, True)
    body: Any
    for body in ([], 7, "x", None, {}, {"version": 1}):
        assert client.post(body, PLACE).status_code == 400
    assert client.post(b"[" * 100_000, PLACE).status_code == 400
    long = make_document([make_key()], actors=[("address", "192.0.2.1")])
    assert client.post({**long, "series": long["series"] * (MAX_SERIES + 1)}, PLACE).status_code == 400
    assert client.post({**long, "actors": long["actors"] * (MAX_ACTORS + 1)}, PLACE).status_code == 400
    assert client.items("endpoints") == []
    assert client.post(long, PLACE).text == "OK"


@pytest.mark.parametrize("word", ["x" * 60_000, "a\0b", "\ud800", "'; DROP TABLE traces; --", "%s :name ?", "İß"])
def test_hostile_names(store: Store, word: str) -> None:
    """What clients made as long and as odd as they like is cut and stored as text: nobody else's counts are lost."""
    odd = [make_key(None, path="/" + word), make_key(None, path="/x", host=word), make_key("/" + word)]
    odd += [make_key(method=word), make_key(request_type=word, response_type=word)]
    document = make_document([*odd, make_key()], actors=[("user", word)])
    body = json.dumps(document).encode()
    store.add_sums(SumsReader().read(read_json(body))).result()
    assert _endpoints(store)["GET shop.example/items/{id}"]["calls"] == 2
    assert _sum(store, ENDPOINTS.c.calls) == _sum(store, TOTALS.c.calls) == 6


def test_everything_adds_up(store: Store) -> None:
    """Endpoints, statuses, minutes, totals and actors have the same sums, whatever endpoint a call belongs to."""
    keys = [make_key(status=status) for status in (200, 404, 500)]
    keys += [
        make_key(None, path="/guess/{param1}"),
        make_key(None, status=404),
        make_key(None, status=405, method="PUT"),
    ]
    keys += [
        make_key(method="BREW"),
        make_key(None, host="*", path="/*", status=0),
        make_key(None, path="/guess/{param1}", status=404),
    ]
    actors = [("address", "192.0.2.1"), ("user", "anna")]
    for _ in range(2):
        store.add_sums(make_sums(keys, [500.0] * 3, actors=actors)).result()
    store.add_sums(make_sums([make_key(status=403)], blocked=True)).result()
    assert {name: item["calls"] for name, item in _endpoints(store).items()} == {
        "GET shop.example/items/{id}": 19,
        "GET shop.example/guess/{param1}": 12,
        "GET */*": 12,
        "PUT */*": 6,
        "_OTHER */*": 6,
    }
    item = _endpoints(store)["GET shop.example/items/{id}"]
    assert item["statuses"] == {"200": 6, "403": 1, "404": 6, "500": 6}
    assert (item["clientErrors"], item["serverErrors"], item["blocked"], item["inferred"]) == (7, 6, 1, False)
    assert _endpoints(store)["GET shop.example/guess/{param1}"]["inferred"] is True
    assert [_sum(store, table.c.calls) for table in (ENDPOINTS, MINUTES, TOTALS)] == [55] * 3
    assert _sum(store, STATUSES.c.calls) == 55 - 6  # of what overflowed nobody knows the status
    assert _sum(store, ACTORS.c.calls) == 2 * 54
    assert sum(item["latency"]["calls"] for item in _endpoints(store).values()) == 55


def test_no_call_is_counted_twice(store: Store) -> None:
    """A trace of a call that is in sums is kept, learnt from, and its attack counted, but not the call."""
    attack = {"attackDetections": {"reqQuery.q": ["SQLI"]}, "block": True, "dataTypes": {"reqQuery.q": ["string"]}}
    traces = [_trace(), _trace(status=403, processedTraceData=attack)]
    sent = [make_trace(), make_trace(status=403, processedTraceData=attack)]
    for each in sent:
        each["request"]["url"]["endpointPath"] = "/items/{id}"
        each["meta"] |= {"counted": True, "durationMicroseconds": 9_000_000}
    store.add([read_trace(each, 2) for each in sent]).result()
    actor = [("address", "192.0.2.7")]
    store.add_sums(make_sums([make_key()], actors=actor)).result()
    store.add_sums(make_sums([make_key(status=403)], actors=actor, blocked=True)).result()
    (item,) = _endpoints(store).values()
    assert (item["calls"], item["attacks"], item["blocked"], item["traces"]) == (2, 1, 1, 2)
    assert (item["statuses"], item["latency"]["calls"], item["latency"]["p99"]) == ({"200": 1, "403": 1}, 2, 1_000)
    assert [_sum(store, MINUTES.c[name]) for name in ("calls", "attacks", "blocked")] == [2, 1, 1]
    assert [_sum(store, TOTALS.c[name]) for name in ("calls", "attacks", "blocked")] == [2, 1, 1]
    (found,) = store.read(partial(queries.find_actors, parameters={"kind": "address"})).items
    assert (found["calls"], found["attacks"], found["blocked"]) == (2, 1, 1)
    store.add(traces).result()
    (item,) = _endpoints(store).values()
    assert (item["calls"], item["statuses"]) == (4, {"200": 2, "403": 2})


def test_facts_of_sums(store: Store) -> None:
    """Media types, authentication and exposure are known from sums as from traces; blocked calls tell of no answer."""
    more = {"request_type": "application/json", "response_type": "text/html"}
    store.add_sums(make_sums([make_key(authentication="basic", source="public", **more)])).result()
    store.add_sums(make_sums([make_key("/open", source="private")])).result()
    store.add_sums(make_sums([make_key("/shut", status=403, **more)], blocked=True)).result()
    found = {name.rpartition("/")[2]: item for name, item in _endpoints(store).items()}
    assert found["{id}"]["flags"] == ["authenticated", "basic", "public"]
    assert found["open"]["flags"] == ["open"]
    assert found["shut"]["flags"] == []
    facts = store.read(
        lambda connection: connection.execute(text("SELECT key, status, kind, name FROM endpoint_facts")).all()
    )
    media = {(key, status, name) for key, status, kind, name in facts if kind == "media"}
    assert media == {("reqBody", 0, "application/json"), ("resBody", 200, "text/html")}
    alerts = store.read(partial(queries.find_alerts, parameters={})).items
    assert {alert["kind"]: alert["count"] for alert in alerts} == {"basic_authentication": 1, "endpoints_found": 2}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", ["sums", "traces", "both"])
def test_percentiles(store: Store, seed: int, by: str) -> None:
    """What is told is within 5 % of the exact percentiles, of sums, of traces of agents without them, and both."""
    chance = random.Random(seed)
    times = [int(chance.lognormvariate(9, 1.2)) + 1 for _ in range(2_000)]
    summed = times if by == "sums" else times[:1_000] if by == "both" else []
    for start in range(0, len(summed), 250):
        store.add_sums(make_sums([make_key()], [float(each) for each in summed[start : start + 250]])).result()
    if by != "sums":
        store.add([_trace(duration=each) for each in times[len(summed) :]]).result()
    now = 2**42
    (item,) = _endpoints(store).values()
    lately = store.read(partial(queries.latencies, since=0, until=now, points=1))["latency"]
    one = store.read(partial(queries.latencies, since=0, until=now, points=1, endpoint=item["id"]))["latency"]
    times.sort()
    for found in (item["latency"], lately, one):
        assert found["calls"] == 2_000
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            assert found[name] == pytest.approx(times[int(share * 2_000) - 1], rel=0.05)


def test_the_slowest_first(store: Store) -> None:
    """Endpoints are sorted by their 95th percentile, those without one last."""
    store.add_sums(make_sums([make_key("/slow")], [9e6])).result()
    store.add([read_trace(make_trace("/untold"), 2)]).result()
    store.add_sums(make_sums([make_key("/quick")], [90.0])).result()
    page = store.read(partial(queries.find_endpoints, parameters={"sort": "p95"}))
    assert [item["path"] for item in page.items] == ["/slow", "/quick", "/untold"]
    assert page.items[2]["latency"] is page.items[2]["sizes"] is None


def test_histograms_are_thinned_and_dropped(database: str) -> None:
    """Minutes become hours as those of counts do, without a call lost, and go with them; what is told stays right."""
    store = Store(database, Limits(minute_days=1, hour_days=3), duties=False)
    ingest = Ingest()
    now = NOW // 3_600_000 * 3_600_000
    for minute in range(0, 150, 7):
        moment = now + minute * 60_000
        store.change(partial(_write_sums, ingest=ingest, moment=moment, route="/a/{id}")).result()
        store.change(partial(_write_sums, ingest=ingest, moment=moment, route="/b")).result()
    calls = _count(store, TOTAL_LATENCIES) * 2
    before = store.read(partial(queries.latencies, since=now, until=now + 9_000_000, points=1))["latency"]
    assert (before["calls"], calls) == (44, 44)

    def age(connection: Connection, days: int) -> None:
        shift = int(time.time() // 3600 * 60) - days * 1440 - now // 60_000
        for table in (LATENCIES, TOTAL_LATENCIES):
            connection.execute(update(table).values(minute=table.c.minute + shift))

    store.change(partial(age, days=2)).result()
    for _ in range(3):
        store.keep_up()
    minutes = store.read(lambda connection: connection.execute(select(LATENCIES.c.minute, LATENCIES.c.latency)).all())
    assert len(minutes) == 2 * 3
    assert {minute % 60 for minute, _ in minutes} == {0}
    assert sum(unpack(stored).count for _, stored in minutes) == 44
    totals = store.read(lambda connection: connection.execute(select(TOTAL_LATENCIES.c.latency)).scalars().all())
    assert [len(totals), sum(unpack(stored).count for stored in totals)] == [3, 44]
    older = update(LATENCIES).values(minute=LATENCIES.c.minute - 2 * 1440)
    store.change(lambda connection: connection.execute(older)).result()
    store.keep_up()
    assert (_count(store, LATENCIES), _count(store, TOTAL_LATENCIES)) == (0, 3)
    store.close()


def _write_sums(connection: Connection, ingest: Ingest, moment: int, route: str) -> None:
    ingest.write_sums(connection, [make_sums([make_key(route)], [1_000.0])], moment)


def test_what_was_measured_moves_with_its_endpoint(store: Store) -> None:
    """A route that is told later takes over what was measured of guesses: times, sizes, minutes."""
    guesses = [make_key(None, path=f"/users/{name}na/orders") for name in "abcd"]
    store.add_sums(make_sums(guesses, [100.0, 1e6])).result()
    assert len(_endpoints(store)) == 4
    store.add_sums(make_sums([make_key("/users/{name}/orders")], [100.0])).result()
    (item,) = _endpoints(store).values()
    assert (item["calls"], item["latency"]["calls"], item["sizes"]["calls"]) == (9, 9, 9)
    assert item["sizes"]["responseBytes"] == 18_000
    assert store.read(partial(queries.latencies, since=0, until=2**42, endpoint=item["id"]))["latency"]["calls"] == 9


def test_invented_names(store: Store) -> None:
    """However many paths, hosts, methods and media types clients invent: as many endpoints as may be and one for each
    method, genuine ones keep their place, a new route finds one, and every call is counted.
    """
    genuine = [make_key(f"/api/{name}/{{id}}") for name in "abcde"]
    store.add_sums(make_sums(genuine)).result()
    for start in range(0, 2_000, 250):
        numbers = range(start, start + 250)
        store.add_sums(
            make_sums([make_key(None, path=f"/w{n:x}q/zz", status=(403, 200)[n % 2]) for n in numbers])
        ).result()
        store.add_sums(
            make_sums([make_key(None, host=f"h{n}.example", path="/", status=400) for n in numbers])
        ).result()
        store.add_sums(make_sums([make_key(method=f"M{n}", response_type=f"x/{n}") for n in numbers])).result()
        store.add([read_trace(make_trace(f"/t{n:x}q/zz"), 2) for n in numbers]).result()
    store.add_sums(make_sums([make_key("/late/{id}")])).result()
    found = _endpoints(store)
    assert len(found) <= 40 + 2
    assert all(found[f"GET shop.example/api/{name}/{{id}}"]["calls"] == 1 for name in "abcde")
    assert found["GET shop.example/late/{id}"]["calls"] == 1
    assert _sum(store, ENDPOINTS.c.calls) == _sum(store, TOTALS.c.calls) == 8_006
    assert _sum(store, STATUSES.c.calls) == 8_006
    assert _count(store, LATENCIES) <= 2 * 43


def test_guesses_that_nobody_answered_go_first(store: Store) -> None:
    """Where there is no room, a path that is answered takes the place of one that never was, of no other."""
    store.add_sums(make_sums([make_key(None, path=f"/none{n}/zz", status=400) for n in range(20)])).result()
    store.add_sums(make_sums([make_key(None, path=f"/some{n}/zz") for n in range(20)])).result()
    store.add([read_trace(make_trace(f"/more{n}/zz"), 2) for n in range(5)]).result()
    names = [name.partition("/")[2][:4] for name in _endpoints(store)]
    assert {name: names.count(name) for name in ("none", "some", "more", "*")} == {
        "none": 14,
        "some": 20,
        "more": 5,
        "*": 1,
    }
    assert _sum(store, ENDPOINTS.c.calls) == 45


def test_many_actors() -> None:
    """Of what is written together those with most calls are counted by name; of the others it is known how many."""
    busy = [make_sums([make_key()], actors=[("address", "192.0.2.1")]) for _ in range(3)]
    crowd = [
        make_sums([make_key()], actors=[("address", f"10.{group}.{n >> 8}.{n & 255}") for n in range(900)])
        for group in range(8)
    ]
    sums = together([*crowd, *busy])
    assert (len(sums.actors), sums.left_out) == (5_000, 8 * 900 + 1 - 5_000)
    assert sums.actors["address", "192.0.2.1"] == (3, 0, 0, 0)


def test_sums_that_come_together_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many agents' documents become few transactions; all are answered once they are stored, the last at the close."""
    written: list[int] = []
    write = Ingest.write_sums

    def note(self: Ingest, connection: Connection, documents: Any, now: int) -> None:
        written.append(len(documents))
        write(self, connection, documents, now)

    monkeypatch.setattr(Ingest, "write_sums", note)
    store, gate = Store(str(tmp_path / "x.db"), duties=False), threading.Event()
    store.change(lambda _connection: gate.wait(5))
    futures = [store.add_sums(make_sums([make_key()])) for _ in range(50)]
    traces = store.add([_trace()])
    gate.set()
    traces.result()
    late = store.add_sums(make_sums([make_key()]))
    store.close()
    assert [future.result() for future in (*futures, late)] == [None] * 51
    assert written == [50, 1]
    reopened = Store(str(tmp_path / "x.db"), duties=False)
    assert _sum(reopened, ENDPOINTS.c.calls) == 52
    reopened.close()


def test_a_document_that_fails_fails_alone(store: Store) -> None:
    """Work that breaks its transaction loses nobody's sums, and none of them is counted twice."""

    def fail(_connection: Connection) -> None:
        raise RuntimeError("meant to fail")

    gate = threading.Event()
    store.change(lambda _connection: gate.wait(5))
    one, bad, two = store.add_sums(make_sums([make_key()])), store.change(fail), store.add_sums(make_sums([make_key()]))
    gate.set()
    assert (one.result(), two.result(), type(bad.exception())) == (None, None, RuntimeError)
    assert _sum(store, ENDPOINTS.c.calls) == 2


def test_a_database_of_before(database: str) -> None:
    """One of the first revision, with content, is brought up to date: all is there, and goes on."""
    engine = connect_to(database)
    ingest = Ingest()
    with engine.begin() as connection:
        upgrade(connection, None, "0001")
        connection.execute(
            text(
                "INSERT INTO endpoints (id, host, method, path, operation, inferred, calls, risk, first_seen,"
                " last_seen, full_capture) VALUES (7, 'shop.example', 'GET', '/items/{id}', '', :no, 5, 0, 1, 2, :no)"
            ),
            {"no": False},
        )
        connection.execute(text("INSERT INTO endpoint_minutes (endpoint_id, minute, calls) VALUES (7, 28000000, 5)"))
    engine.dispose()
    engine = open_database(database)
    with engine.begin() as connection:
        ingest.write_sums(connection, [make_sums([make_key()])], NOW)
        (item,) = queries.find_endpoints(connection, {}).items
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    engine.dispose()
    assert (item["id"], item["calls"], item["latency"]["calls"], item["sizes"]["calls"]) == (7, 6, 1, 1)


def test_stored_histograms_are_what_they_were() -> None:
    """But for parts of microseconds."""
    found = Histogram(3, 80, (1, 0, 5), 6_000.7, 1_000.2, 1_300.9)
    assert unpack(pack(found)) == Histogram(3, 80, (1, 0, 5), 6_000, 1_000, 1_300)
    assert unpack(None) == Histogram()


def test_traces_of_a_sample_say_so(client: Client, collector: RunningCollector) -> None:
    """How many requests have a trace of their own is told, of one endpoint and of all."""
    sent = make_trace()
    sent["request"]["url"]["endpointPath"] = "/items/{id}"
    sent["meta"]["counted"] = True
    client.post([sent] * 3)
    client.post(make_document([make_key()], [1_000.0] * 50), PLACE)
    client.post([make_trace("/other")])
    found = {item["path"]: item for item in client.items("endpoints")}
    assert (found["/items/{id}"]["traces"], found["/items/{id}"]["calls"]) == (3, 50)
    sample = partial(queries.sample, endpoint=found["/items/{id}"]["id"])
    assert collector.store.read(sample) == {"calls": 50, "kept": 3}
    assert collector.store.read(queries.sample) == {"calls": 51, "kept": 4}
