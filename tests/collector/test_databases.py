"""Both databases: the same work gives the same answers, and several collectors on one PostgreSQL are as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from metlo_otel.collector import actions, queries
from metlo_otel.collector.database import DatabaseError, begin_writing, bytes_used, open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.jsontext import read_json
from metlo_otel.collector.keys import list_keys
from metlo_otel.collector.openapi import describe_host
from metlo_otel.collector.rules import list_rules
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.upkeep import Limits, Upkeep
from tests.collector.client import KEY, READ_KEY, Client, make_trace

NOW = 1_700_000_000_000


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database, duties=False)
    yield store
    store.close()


def _trace(number: int) -> Trace:
    sent = make_trace(f"/items/{number % 7}/parts", (200, 200, 404, 500)[number % 4])
    sent["request"]["url"]["endpointPath"] = "/items/{id}/parts" if number % 3 else None
    sent["request"]["url"]["host"] = f"shop{number % 2}.example"
    sent["sessionMeta"] |= {"user": f"user{number % 3}", "authenticationProvided": bool(number % 2)}
    found = {"reqQuery.q": ["SQLI", "XSS"]} if number % 5 == 0 else {}
    sent["processedTraceData"] |= {
        "attackDetections": found,
        "block": number % 10 == 0,
        "sensitiveDataDetected": {"resBody.email": ["Email"]},
        "dataTypes": {"resBody.email": ["string"], f"resBody.extra{number % 2}": ["number", "null"]},
    }
    return read_trace(sent, 2)


def _work(where: str) -> dict[str, Any]:
    """The answers to all questions after some work, done at given times."""
    engine, ingest = open_database(where), Ingest(kept=5)
    limits = Limits(trace_days=10_000, minute_days=1, hour_days=10_000, attack_days=10_000, attacks=30, actors=4)
    try:
        for start in range(0, 400, 40):
            with engine.connect() as connection:
                begin_writing(connection)
                ingest.write(connection, [_trace(number) for number in range(start, start + 40)], NOW + start * 1000)
                connection.commit()
        for step in Upkeep(limits).steps():
            with engine.connect() as connection:
                begin_writing(connection)
                if step(connection):
                    ingest.forget()
                connection.commit()
        with engine.connect() as connection:
            assert bytes_used(connection) > 10_000
            return _answers(connection)
    finally:
        engine.dispose()


def _answers(connection: Connection) -> dict[str, Any]:
    endpoints = queries.find_endpoints(connection, {"sort": "path"}).items
    lists: dict[str, Callable[..., queries.Page]] = {
        "traces": queries.find_traces,
        "attacks": queries.find_attacks,
        "actors": queries.find_actors,
        "alerts": queries.find_alerts,
        "audit": queries.find_audit,
    }
    found = {name: find(connection, {"limit": "500"}).items for name, find in lists.items()}
    return {
        **found,
        "endpoints": endpoints,
        "details": [queries.read_endpoint(connection, item["id"]) for item in endpoints],
        "series": queries.series(connection, NOW - 3_600_000, NOW + 3_600_000, points=10),
        "totals": queries.totals(connection, NOW - 86_400_000, NOW + 86_400_000),
        "counts": queries.inventory_counts(connection),
        "hosts": queries.list_hosts(connection),
        "classes": queries.list_classes(connection),
        "categories": queries.count_attacks(connection),
        "described": describe_host(connection, "shop0.example"),
        "filtered": queries.find_traces(connection, {"path": "ITEMS", "status": "4xx", "attack": "XSS"}).items,
    }


def test_both_answer_alike(tmp_path: Path, postgresql_database: str) -> None:
    """The same traces and the same upkeep leave the same in both databases, down to the ids."""
    ours, theirs = _work(str(tmp_path / "x.db")), _work(postgresql_database)
    assert ours["totals"]["calls"] == 400
    assert len(ours["traces"]) > 10
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name


def test_several_collectors_are_one(postgresql_database: str) -> None:
    """Collectors that start at once on an empty database and take in traces of the same endpoints lose and count twice
    nothing; a rule that one is told, the others serve; a key that one knows, all know.
    """
    with ExitStack() as stack:
        running: list[RunningCollector] = []
        starters = [
            threading.Thread(
                target=lambda: running.append(RunningCollector(postgresql_database, KEY, read_key=READ_KEY))
            )
            for _ in range(3)
        ]
        _all(starters)
        assert len(running) == 3
        for collector in running:
            stack.enter_context(collector)
        clients = [Client(collector.url) for collector in running]
        answers: list[int] = []

        def send(client: Client) -> None:
            for number in range(12):
                batch = [make_trace(f"/way-{(number + each) % 5}/{each}") for each in range(20)]
                answers.append(client.post(batch).status_code)

        _all([threading.Thread(target=send, args=(client,)) for client in clients])
        assert answers == [200] * 36
        for client in clients:
            assert sum(item["calls"] for item in client.items("endpoints")) == 36 * 20
            assert len(client.items("endpoints")) == 5
        rule = {"name": "x", "block": True, "path": "/x"}
        running[0].store.change(partial(actions.put_rule, item=rule, who="test")).result()
        assert [len(client.get("/api/v1/agent-config").json()["wafConfig"]) for client in clients] == [1, 1, 1]
        for client in clients:
            client.session.close()


def _all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_a_server_that_goes_away(postgresql_database: str, postgresql: str) -> None:
    """While the database refuses, batches get 503 with Retry-After; once it is back they are taken."""
    name = postgresql_database.rpartition("/")[2]
    admin = open_admin(postgresql)
    with RunningCollector(postgresql_database, KEY, read_key=READ_KEY) as collector:
        client = Client(collector.url)
        assert client.post([make_trace()]).status_code == 200
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
        refused = client.post([make_trace()])
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        assert client.post([make_trace()]).status_code == 200
        assert [item["calls"] for item in client.items("endpoints")] == [2]
        client.session.close()
    admin.dispose()


def open_admin(url: str) -> Engine:
    """An engine that commits each statement."""
    return create_engine(f"{url}/postgres", isolation_level="AUTOCOMMIT")


def test_no_password_in_the_error(postgresql: str) -> None:
    """A database that cannot be opened is named without its password."""
    with pytest.raises(DatabaseError) as problem:
        open_database(f"{postgresql}/there-is-none")
    assert "there-is-none" in str(problem.value)
    assert "only-for-tests" not in str(problem.value)


def test_rules_and_keys(store: Store) -> None:
    """Rules keep their order and are replaced in their place; keys are valid until they are revoked."""

    def put(item: dict[str, Any]) -> Any:
        return store.change(partial(actions.put_rule, item=item, who="test")).result()

    first = put({"name": "first", "block": True, "path": "/a"})
    put({"name": "second", "limit": "5 per minute", "by": "ip", "path": "/b"})
    put({**first.document, "name": "changed"})
    assert [rule.name for rule in store.read(list_rules)] == ["changed", "second"]
    with pytest.raises(ValueError, match="path"):
        put({"name": "wrong", "block": True, "path": {"like": "x"}})
    key = store.change(partial(actions.add_key, name="ci", who="test")).result()
    store.keys.refresh()
    assert store.keys.holds(key)
    with pytest.raises(ValueError, match="already"):
        store.change(partial(actions.add_key, name="ci", who="test")).result()
    (stored,) = [each for each in store.read(list_keys) if each.name == "ci"]
    assert store.change(partial(actions.revoke_key, number=stored.id, who="test")).result()
    store.keys.refresh()
    assert not store.keys.holds(key)
    said = [item["action"] for item in store.read(lambda connection: queries.find_audit(connection, {})).items]
    assert said == ["keys.revoke", "keys.add", "rules.put", "rules.put", "rules.put"]


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * 5000, "'; DROP TABLE traces; --", "%s %(x)s :name ?"])
def test_hostile_texts(store: Store, word: str) -> None:
    """Any text in any place is stored as text by both databases."""
    sent = make_trace("/" + word)
    sent["request"]["url"]["host"] = word
    sent["sessionMeta"] = {"user": word, "uniqueSessionKey": word}
    sent["processedTraceData"] = {
        "attackDetections": {word: [word]},
        "sensitiveDataDetected": {"reqQuery." + word: [word]},
        "dataTypes": {"reqBody." + word: ["string"]},
    }
    sent["meta"] |= {"source": word, "ruleId": word, "traceId": word}
    store.add([read_trace(read_json(json.dumps(sent).encode()), 2)]).result()
    (trace,) = store.read(lambda connection: queries.find_traces(connection, {})).items
    assert len(store.read(lambda connection: queries.find_attacks(connection, {})).items) == 1
    assert trace["status"] == 200
    store.read(lambda connection: describe_host(connection, trace["host"]))
