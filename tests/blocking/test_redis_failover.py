"""Limits in a real cluster of Redis, and behind real sentinels: exact, and back soon after a server is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="the Redis client (extra `redis`) is not installed")

from metlo_otel.blocking.rate_limits import Limit
from metlo_otel.blocking.redis_store import RedisStore
from tests.blocking.exchanges import NOW
from tests.blocking.redis_server import BINARY, Servers, ask, start_cluster, start_sentinels, wait_until

pytestmark = [pytest.mark.live, pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")]
PATIENT = 10.0  # seconds: tests of counts must not fail open on a busy machine
_BACK = 30.0  # seconds within which a failover is over, on a busy machine
CLIENTS = [f"client {number}" for number in range(60)]
LIMIT = Limit("rule", 3, 600, 0)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path) as found:
        yield found


def _cluster(ports: list[int]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


def _passes(store: RedisStore, key: str, times: int = 5, limit: Limit = LIMIT) -> int:
    return sum(store.hit(limit, key, NOW) == 0 for _ in range(times))


def _counts(store: RedisStore, clients: list[str]) -> bool:
    """Whether every client is counted again; the worker's step before."""
    store.tick()
    probe = Limit(f"probe {time.monotonic()}", 1, 600, 0)
    return all(_passes(store, key, 2, probe) == 1 for key in clients)


def test_a_cluster_counts_as_one(servers: Servers) -> None:
    """Every client has its threshold, on whichever node; two hosts that were told of different nodes share it. A slot
    that moves costs no more than a step of the worker; a node that is lost, the time until its replica stands in.
    """
    messages: list[str] = []
    ports, spare = start_cluster(servers)
    here = RedisStore(_cluster(ports[:2]), messages.append, budget=PATIENT)
    there = RedisStore(_cluster(ports[2:]), messages.append, budget=PATIENT)
    assert _passes(here, "before the worker's first step") == 5
    here.tick()
    there.tick()
    for key in CLIENTS:
        assert _passes(here, key, 2) + _passes(there, key, 4) == 3
    held = [ask(port, "DBSIZE") for port in ports]
    assert sum(held) == len(CLIENTS)
    assert min(held) > 0

    slot = next(slot for slot in range(5461) if ask(ports[0], "CLUSTER", "COUNTKEYSINSLOT", slot))
    (name,) = ask(ports[0], "CLUSTER", "GETKEYSINSLOT", slot, 1)
    ids = {port: ask(port, "CLUSTER", "MYID") for port in ports}
    ask(ports[1], "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[ports[0]])
    ask(ports[0], "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[ports[1]])
    ask(ports[0], "MIGRATE", "127.0.0.1", ports[1], name, 0, 5_000)
    for port in ports:
        ask(port, "CLUSTER", "SETSLOT", slot, "NODE", ids[ports[1]])
    passed = Counter(_passes(here, key, 1) for key in CLIENTS)
    assert passed == {0: len(CLIENTS) - 1, 1: 1}
    here.tick()
    assert sum(_passes(here, key, 1) for key in CLIENTS) == 0
    assert messages == []

    servers.kill(ports[0])
    assert sum(_passes(here, key, 1) for key in CLIENTS) > 0
    wait_until(lambda: _counts(here, CLIENTS), _BACK)
    assert ask(spare, "ROLE")[0] == "master"
    assert f"no answer from Redis at 127.0.0.1:{ports[0]}" in messages[0]
    assert f"rate limits: others count in place of Redis at 127.0.0.1:{ports[0]} now" in messages
    here.close()
    there.close()


def test_a_cluster_that_is_down_is_told_once(servers: Servers) -> None:
    """Without a node that has no replica a cluster refuses all: requests pass, and a line for each node says so."""
    messages: list[str] = []
    ports, spare = start_cluster(servers)
    store = RedisStore(_cluster(ports), messages.append, budget=PATIENT)
    store.tick()
    servers.kill(spare)
    servers.kill(ports[0])
    wait_until(lambda: ask(ports[1], "CLUSTER INFO")["cluster_state"] == "fail", _BACK)
    for _ in range(5):
        assert sum(_passes(store, key, 1) for key in CLIENTS) == len(CLIENTS)
        store.tick()
    assert len(messages) == len(ports)
    assert sum("cluster is down" in message.lower() for message in messages) == 2
    store.close()


def test_sentinels_name_who_counts(servers: Servers) -> None:
    """The master that they name counts; when it is lost, the one that they name next."""
    messages: list[str] = []
    sentinels, master = start_sentinels(servers)
    url = "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in sentinels) + "/counts/0"
    store = RedisStore(url, messages.append, budget=PATIENT)
    assert _passes(store, "a") == 5  # the worker asks
    store.tick()
    assert _passes(store, "a") == 3
    servers.kill(sentinels[0])
    servers.kill(master)
    assert _passes(store, "a") == 5
    wait_until(lambda: _counts(store, ["a"]), _BACK)
    assert f"no answer from Redis at 127.0.0.1:{master}" in messages[0]
    assert f"rate limits: others count in place of Redis at 127.0.0.1:{master} now" in messages
    store.close()


@pytest.mark.parametrize("url", ["redis+cluster://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/counts"])
def test_nobody_to_ask(servers: Servers, url: str) -> None:
    """A plain Redis, and a port that nobody listens on: requests pass, and one line says why."""
    port = servers.start()
    for _ in range(2):
        messages: list[str] = []
        store = RedisStore(url.format(port), messages.append, budget=PATIENT)
        for _ in range(3):
            store.tick()
            assert _passes(store, "a") == 5
        assert len(messages) == 1
        assert "no answer from the " in messages[0]
        store.close()
        servers.kill(port)
