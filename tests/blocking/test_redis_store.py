"""Counters in a real Redis: exact over processes, and never in the way of the app."""

from __future__ import annotations

import multiprocessing
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

pytest.importorskip("redis", reason="the Redis client (extra `redis`) is not installed")

from metlo_otel.blocking.rate_limits import Limit, LocalStore
from metlo_otel.blocking.redis_node import Circuit
from metlo_otel.blocking.redis_store import RedisStore
from metlo_otel.blocking.storage import open_store
from tests.blocking.exchanges import NOW, refused
from tests.blocking.redis_server import BINARY, free_port, redis_server

needs_redis = pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")
PATIENT = 10.0  # seconds: tests of counts must not fail open on a busy machine


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis"), free_port()) as found:
        yield found


@pytest.fixture
def store(url: str, request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    made = RedisStore(url, refused, prefix=request.node.name, budget=PATIENT)
    yield made
    made.close()


def passes(store: RedisStore, limit: Limit, times: int, key: str = "client") -> int:
    return sum(store.hit(limit, key, NOW) == 0 for _ in range(times))


@needs_redis
def test_exactly_the_threshold_passes(store: RedisStore) -> None:
    """Of many requests the threshold passes, for each client and limit on its own."""
    for threshold in (1, 5, 100):
        for key in ("a", "b"):
            assert passes(store, Limit(f"{threshold}", threshold, 60, 0), threshold + 5, key) == threshold


@needs_redis
def test_out_for_the_duration(store: RedisStore) -> None:
    """Who is over is told how long, and is out although the interval is over."""
    limit = Limit("rule", 2, 0.05, 60)
    deadline = time.monotonic() + 10
    while not (wait := store.hit(limit, "client", NOW)) and time.monotonic() < deadline:
        pass
    assert wait == 60
    assert 59 < store.hit(limit, "client", NOW) <= 60
    assert 59 < store.check(limit, "client", NOW) <= 60


@needs_redis
def test_the_window_slides(store: RedisStore) -> None:
    """Without a duration the client waits until its oldest request leaves the window, and then passes."""
    limit = Limit("rule", 1, 0.3, 0)
    assert store.hit(limit, "client", NOW) == 0
    wait = store.hit(limit, "client", NOW)
    assert 0 < wait <= 0.3
    began = time.monotonic()
    while store.hit(limit, "client", NOW) and time.monotonic() < began + 10:
        pass
    assert wait - 0.05 < time.monotonic() - began < 10


@needs_redis
def test_check_does_not_count(store: RedisStore) -> None:
    """Asking counts nothing."""
    limit = Limit("rule", 2, 60, 60)
    assert [store.check(limit, "client", NOW) for _ in range(5)] == [0] * 5
    assert passes(store, limit, 2) == 2
    assert store.check(limit, "client", NOW) == 60


def count(url: str, start: multiprocessing.synchronize.Barrier, results: SimpleQueue[int]) -> None:
    """One worker on one of the hosts."""
    store = RedisStore(url, refused, prefix="hosts", budget=PATIENT)
    start.wait(30)
    results.put(passes(store, Limit("rule", 100, 600, 600), 100))


@needs_redis
def test_processes_share_a_threshold(url: str) -> None:
    """Four workers with a threshold of 100 let exactly 100 of 400 requests pass."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.SimpleQueue()
    workers = [context.Process(target=count, args=(url, start, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sum(results.get() for _ in workers) == 100


@needs_redis
def test_redis_goes_and_comes_back(tmp_path: Path) -> None:
    """Without Redis requests pass, told once; when it is back they are counted again, told once."""
    messages: list[str] = []
    now = [0.0]
    port = free_port()
    limit = Limit("rule", 1, 60, 60)
    with redis_server(tmp_path, port) as url:
        store = RedisStore(url, messages.append, budget=PATIENT, clock=lambda: now[0])
        assert passes(store, limit, 2) == 1
    for _ in range(5):
        assert passes(store, limit, 3) == 3
        now[0] += 60
        store.tick()
    (message,) = messages
    assert "no answer from Redis" in message
    with redis_server(tmp_path, port):
        assert passes(store, limit, 3) == 3  # it is the worker that tries
        now[0] += 60
        store.tick()
        assert passes(store, limit, 3) == 1
    assert messages[1:] == ["rate limits: Redis answers again; requests are counted"]
    store.close()


def test_a_silent_redis_costs_its_budget_once() -> None:
    """A server that takes connections and never answers delays one request by the budget, and the next ones
    not at all.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        messages: list[str] = []
        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}", messages.append)
        store.hit(Limit("rule", 1, 60, 60), "warm", NOW)
        began = time.perf_counter()
        assert passes(store, Limit("rule", 1, 60, 60), 1000) == 1000
        assert time.perf_counter() - began < 0.5
        assert len(messages) == 1
        store.close()


def test_a_pause_doubles() -> None:
    """After a failure nobody asks and it is time to try in a second; then in twice as long, up to half a minute."""
    messages: list[str] = []
    now = [100.0]
    circuit = Circuit(messages.append, lambda: now[0])
    pauses = []
    for _ in range(7):
        circuit.failed(OSError("gone"))
        circuit.failed(OSError("found by another request at the same time"))
        began = now[0]
        while not circuit.is_due():
            assert circuit.is_open
            now[0] += 0.5
        pauses.append(now[0] - began)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    circuit.worked()
    assert not circuit.is_open
    assert [message.split(";")[0] for message in messages] == [
        "rate limits: no answer from Redis (gone)",
        "rate limits: Redis answers again",
    ]


def test_a_name_that_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits for a host name to be looked up; the worker does, and says once that there is no answer."""
    asked: list[str] = []
    messages: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    store = RedisStore("redis://counts.example:6379", messages.append)
    assert passes(store, Limit("rule", 1, 60, 60), 100) == 100
    assert asked == []
    for _ in range(3):
        store.tick()
        assert passes(store, Limit("rule", 1, 60, 60), 100) == 100
    assert asked == ["counts.example"]
    assert len(messages) == 1
    store.close()


def test_without_the_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the workers count alone, and the message names the extra."""
    monkeypatch.setitem(sys.modules, "redis", None)
    messages: list[str] = []
    assert isinstance(open_store("redis://127.0.0.1:1", "h", "k", messages.append), LocalStore)
    assert "pip install metlo-otel[redis]" in messages[0]
