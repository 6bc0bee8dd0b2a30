"""Several collectors on one PostgreSQL: each duty is done once and taken over, a change at one is in force at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from metlo_otel.collector.actions import add_destination, put_rule
from metlo_otel.collector.configuration import get_setting
from metlo_otel.collector.database import open_database
from metlo_otel.collector.destinations import Rules
from metlo_otel.collector.duties import DUTY
from metlo_otel.collector.leadership import Leadership
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.siem.destinations import read_destination
from metlo_otel.collector.siem.forwarding import Forwarder, forwarding
from metlo_otel.flask import MetloFlask
from tests.collector.client import KEY, READ_KEY, Client, make_trace
from tests.collector.hook import running_hook

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

_PROMISED = 5.0  # seconds in which a change is with every agent
_SLOW = 4.0  # times as long on a busy machine


@pytest.fixture
def ends() -> Iterator[list[ExitStack]]:
    """What ends the first collector, and the second."""
    with ExitStack() as first, ExitStack() as second:
        yield [first, second]


@pytest.fixture
def both(postgresql_database: str, ends: list[ExitStack]) -> list[RunningCollector]:
    return [end.enter_context(RunningCollector(postgresql_database, KEY, read_key=READ_KEY)) for end in ends]


def _within(seconds: float, is_so: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, "it was not so in time"
        pause.wait(0.05)


def test_a_duty_is_one_collectors(postgresql_database: str) -> None:
    """Until that one ends, or its session does; other duties may be another one's. SQLite's are its one collector's."""
    engine = open_database(postgresql_database)
    others = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    now = [0.0]
    first, second = (Leadership(engine, lambda: now[0]) for _ in range(2))
    assert [first.leads("a"), second.leads("a"), second.leads("b"), first.leads("b")] == [True, False, True, False]
    assert [first.leads("a"), second.leads("a")] == [True, False]
    first.close()
    assert second.leads("a")
    assert not first.leads("a")
    with others.connect() as connection:
        ends = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 73042651"
        assert connection.execute(text(ends)).all()
    now[0] += 2
    with pytest.raises(SQLAlchemyError):
        second.leads("a")
    _within(10, lambda: first.leads("a"))
    assert not second.leads("a")
    first.close()
    second.close()
    engine.dispose()
    others.dispose()


def test_a_file_has_one_collector(tmp_path: Path) -> None:
    """Nobody is asked."""
    engine = open_database(str(tmp_path / "one.db"))
    assert Leadership(engine).leads("a")
    engine.dispose()


def test_a_rule_is_in_force_at_all(both: list[RunningCollector]) -> None:
    """An agent of one collector has a rule that was made at the other within five seconds."""
    app = Flask("shop")
    metlo = MetloFlask(app, both[1].url, KEY, config_cache="off", first_rules_wait=5)
    assert metlo.agent is not None

    def blocked() -> bool:
        return app.test_client().get("/", headers={"User-Agent": "BadBot/1"}).status_code == 403

    assert not blocked()
    item = {"name": "no bots", "block": True, "header": {"User-Agent": {"contains": "BadBot"}}}
    both[0].store.change(partial(put_rule, item=item, who="test")).result()
    _within(_PROMISED * _SLOW, blocked)
    metlo.agent.shutdown()


def test_findings_are_forwarded_once_and_by_who_is_left(
    both: list[RunningCollector], ends: list[ExitStack], tmp_path: Path
) -> None:
    """With the same destination given to both; when the one ends that did it, the other goes on where it was."""
    where = tmp_path / "findings.jsonl"
    destination = read_destination(f"file://{where}?format=json")
    for end, collector in zip(ends, both, strict=True):
        end.enter_context(forwarding(collector.store, [destination], 0.02))
    name = Forwarder.name_of(destination)
    _within(10, lambda: both[1].store.read(lambda connection: get_setting(connection, name)) is not None)

    def told() -> list[str]:
        lines = where.read_text().splitlines() if where.exists() else []
        return sorted(found["path"] for line in lines if (found := json.loads(line))["kind"] == "attack")

    for number in range(4):
        _attack(both[number % 2], number)
    _within(10, lambda: told() == [f"/attack/{number}" for number in range(4)])
    (leader,) = [number for number in range(2) if both[number].store.leads(name)]
    ends[leader].close()
    for number in range(4, 8):
        _attack(both[1 - leader], number)
    _within(20, lambda: told() == [f"/attack/{number}" for number in range(8)])
    lines = where.read_text().splitlines()
    assert len(lines) == len(set(lines))


def test_alerts_are_told_by_one(both: list[RunningCollector], ends: list[ExitStack]) -> None:
    """Both look for what is to be told, one tells, each alert once; the other does when that one has ended."""
    with running_hook() as hook:
        add = partial(add_destination, name="hook", url=hook.url, who="test", rules=Rules())
        both[0].store.change(add).result()
        for number in range(2):
            _attack(both[number], number)
        _within(20, lambda: hook.kinds().count("attack") == 2)
        (leader,) = [number for number in range(2) if both[number].store.leads(DUTY)]
        ends[leader].close()
        _attack(both[1 - leader], 2)
        _within(20, lambda: hook.kinds().count("attack") == 3)
        ids = [alert["id"] for alert in hook.alerts()]
        assert len(ids) == len(set(ids))


def _attack(collector: RunningCollector, number: int) -> None:
    sent = make_trace(f"/attack/{number}")
    sent["request"]["url"]["endpointPath"] = sent["request"]["url"]["path"]
    sent["processedTraceData"]["attackDetections"] = {"reqQuery.q": ["SQLI"]}
    client = Client(collector.url)
    assert client.post([sent]).status_code == 200
    client.session.close()
