"""What strangers send in masses must not keep from being learnt what is genuine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.analysis.openapi_spec import SpecError, read_spec
from metlo_otel.blocking.located import DocumentError, load_yaml
from metlo_otel.collector import actions, queries
from metlo_otel.collector.configuration import read_parts
from metlo_otel.collector.facts import MAX_FACTS, read_facts
from metlo_otel.collector.hosts import count_unsaid, foreign_hosts, list_hosts
from metlo_otel.collector.learnt import Fact, Learnt
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.upkeep import Limits
from tests.collector.client import make_trace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "x.db"), Limits(endpoints=400), duties=False)
    yield store
    store.close()


@pytest.fixture
def either(database: str) -> Iterator[Store]:
    store = Store(database, Limits(endpoints=400), duties=False)
    yield store
    store.close()


def _trace(path: str, fields: tuple[str, ...] = (), route: str | None = None, host: str = "shop.example") -> Trace:
    sent = make_trace(path)
    sent["request"]["url"] |= {"host": host, "endpointPath": route}
    sent["processedTraceData"]["dataTypes"] = {name: ["string"] for name in fields}
    return read_trace(sent, 2)


def _add(store: Store, traces: list[Trace]) -> None:
    for start in range(0, len(traces), 500):
        store.add(traces[start : start + 500]).result()


def _fields(store: Store, path: str) -> set[str]:
    (endpoint,) = (each for each in _endpoints(store) if each["path"] == path)
    return {fact.key for fact in store.read(partial(read_facts, endpoint=endpoint["id"]))} - {""}


def _endpoints(store: Store, **parameters: str) -> list[dict[str, Any]]:
    return store.read(partial(queries.find_endpoints, parameters={"limit": "500", **parameters})).items


GENUINE = ("reqQuery.q", "reqQuery.page", "resBody.items")


def test_invented_parameters(store: Store) -> None:
    """A client invents 5,000 parameters while the app is used: what is used is known all the time, and what the app
    gets newly is learnt in the end.
    """
    genuine = _trace("/search", GENUINE, "/search")
    _add(store, [genuine] * 3)
    hostile = [_trace("/search", (f"reqQuery.x{number:x}",), "/search") for number in range(5_000)]
    for start in range(0, len(hostile), 250):
        _add(store, [*hostile[start : start + 250], genuine])
        assert _fields(store, "/search") >= set(GENUINE)
    _add(store, [_trace("/search", (*GENUINE, "reqQuery.new"), "/search")])
    (endpoint,) = _endpoints(store)
    facts = store.read(partial(read_facts, endpoint=endpoint["id"]))
    assert {fact.key for fact in facts} >= {*GENUINE, "reqQuery.new"}
    assert {"type", "absent"} <= {fact.kind for fact in facts if fact.key == "reqQuery.new"}  # it may be left out
    assert len(facts) <= MAX_FACTS


def test_one_trace_with_too_much(either: Store) -> None:
    """It cannot take the place of all that is known."""
    store = either
    genuine = _trace("/search", GENUINE, "/search")
    _add(store, [genuine])
    _add(store, [_trace("/search", tuple(f"reqBody.f{number}" for number in range(600)), "/search"), genuine, genuine])
    _add(store, [_trace("/search", tuple(f"reqBody.g{number}" for number in range(9_000)), "/search")])
    assert _fields(store, "/search") >= set(GENUINE)


def test_what_goes_first() -> None:
    """Fields that were never seen again, those of longest ago first; the endpoint's own facts never."""
    known = Learnt()
    known.add([Fact("", 0, "flag", "http"), *(Fact(f"reqQuery.{name}", 0, "type", "string") for name in "abcd")])
    known.see(["reqQuery.a", "reqQuery.b", "reqQuery.c", "reqQuery.d"])
    known.see(["reqQuery.a", "reqQuery.c"])
    known.see(["reqQuery.b"])
    assert known.make_room(1) == ["reqQuery.d"]
    assert known.make_room(2) == ["reqQuery.a", "reqQuery.c"]
    assert known.make_room(9) == ["reqQuery.b"]
    assert known.facts == {Fact("", 0, "flag", "http")}
    assert known.nodes == {}


def test_hostile_paths_and_a_new_route(store: Store) -> None:
    """16,500 paths that nobody serves leave room for a route that comes after them, and for a page without one."""
    _add(store, [_trace(f"/{number:x}-word-{number}/zq") for number in range(16_500)])
    _add(store, [_trace("/orders/7", route="/orders/{id}"), _trace("/about")])
    paths = {each["path"] for each in _endpoints(store)}
    assert {"/orders/{id}", "/about"} <= paths


def test_hostile_hosts(store: Store) -> None:
    """300 Host headers, each with the app's own routes, fill the inventory; a route that comes after them is learnt,
    and what people said to be theirs stays, however little it is called.
    """
    routes = [f"/r{number}/{{id}}" for number in range(3)]
    _add(store, [_trace("/rare/1", route="/rare/{id}", host="shop.example")])
    store.change(partial(actions.mark_hosts, hosts=["shop.example"], own=True, who="test")).result()
    time.sleep(0.002)  # what comes in the same millisecond is spared
    for start in range(0, 300, 50):
        hosts = [f"h{number}.evil.example" for number in range(start, start + 50)]
        _add(store, [_trace("/r/1", route=route, host=host) for host in hosts for route in routes])
    assert len(_endpoints(store)) <= 401
    time.sleep(0.002)
    _add(store, [_trace("/orders/7", route="/orders/{id}", host="shop.example")])
    assert {each["path"] for each in _endpoints(store, host="shop.example")} == {"/rare/{id}", "/orders/{id}"}


def test_hosts_that_are_not_ours(either: Store) -> None:
    """They are listed until somebody says whose they are; of those that are not ours nothing is learnt any more, and
    all that was counted stays counted.
    """
    store = either
    _add(store, [_trace("/a", host=host) for host in ("shop.example", "evil.example", "evil.example")])
    assert [(each["host"], each["own"], each["calls"]) for each in store.read(list_hosts)] == [
        ("evil.example", None, 2),
        ("shop.example", None, 1),
    ]
    store.change(partial(actions.mark_hosts, hosts=["shop.example"], own=True, who="test")).result()
    assert store.read(count_unsaid) == 1
    store.change(partial(actions.mark_hosts, hosts=["evil.example", "*", ""], own=False, who="test")).result()
    _add(store, [_trace("/b", host="EVIL.example"), _trace("/b", host="shop.example")])
    assert store.read(foreign_hosts) == {"evil.example"}
    assert sorted((each["host"], each["path"], each["calls"]) for each in _endpoints(store)) == [
        ("*", "/*", 3),
        ("shop.example", "/a", 1),
        ("shop.example", "/b", 1),
    ]
    store.change(partial(actions.mark_hosts, hosts=["evil.example"], own=True, who="test")).result()
    _add(store, [_trace("/b", host="evil.example")])
    assert [each["path"] for each in _endpoints(store, host="evil.example")] == ["/b"]


SPEC = "openapi: 3.1.0\npaths: {}\n"
LEVELS = "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    "text",
    [
        f"{SPEC}x: 1{':59' * 330_000}\n",
        f"{SPEC}x: -1{':59' * 330_000}.5\n",
        f"{SPEC}x: !!int 1{':59' * 300_000}\n",
        f"a0: &a0 {{x: 1}}\n{LEVELS}{SPEC}",
        f"{SPEC}x: [{'1,' * 400_000}1]\n",
        f"{SPEC}x: {'[' * 5_000}{']' * 5_000}\n",
        f"{SPEC}x: {'9' * 900_000}\n",
    ],
    ids=["base 60", "base 60 float", "tagged", "merged", "many", "deep", "long number"],
)
@pytest.mark.parametrize("read", [read_spec, load_yaml])
def test_documents_that_take_long(text: str, read: Any) -> None:
    """Whatever somebody uploads is read, or refused with a reason, within seconds of CPU time: it took 17."""
    began = time.thread_time()
    with suppress(SpecError, DocumentError):
        read(text)
    assert time.thread_time() - began < 8


def test_numbers_to_the_base_60_are_text() -> None:
    """As YAML 1.2 has it; other numbers are numbers, and merge keys merge."""
    document = read_spec(f"{SPEC}b: &b {{p: 1}}\nx: {{<<: *b, t: 1:30, n: 90, f: 1.5, h: 0x1f}}\n").document
    assert document["x"] == {"p": 1, "t": "1:30", "n": 90, "f": 1.5, "h": 31}
    assert load_yaml("{t: 1:30, n: 90, f: 1.5}").value == {"t": "1:30", "n": 90, "f": 1.5}


@pytest.mark.parametrize("pattern", ["(", "(?=x)y", r"(a)\1", "[[a]", "a{99999}"])
@pytest.mark.parametrize("key", ["regex", "keyRegex"])
def test_broken_patterns(store: Store, key: str, pattern: str) -> None:
    """A data class that agents would leave out is refused when it is saved, with its place, and nothing changes."""
    good = {"className": "Good", "severity": "low", "regex": "^C-\\d{8}$"}
    bad = {"className": "Bad", "severity": "low", key: pattern}
    with pytest.raises(ValueError, match=rf"sensitiveDataList\[1\]\.{key} \(of 'Bad'\): "):
        store.configure("sensitiveDataList", [good, bad])
    store.configure("sensitiveDataList", [good])
    for name, value in (
        ("hostMap", [{"host": "x", "pattern": pattern}]),
        ("hostBlockList", ["ok", pattern]),
        ("pathBlockList", [{"host": ".*", "paths": [pattern]}]),
    ):
        with pytest.raises(ValueError, match=r"\[[01]\]"):
            store.configure(name, value)
    assert store.read(read_parts)["sensitiveDataList"] == [good]
