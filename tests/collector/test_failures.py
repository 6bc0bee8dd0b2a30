"""What fails, or is out of all bounds, tells no secret, stops nothing else and costs little."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from metlo_otel.collector import addresses, facts
from metlo_otel.collector.addresses import is_public
from metlo_otel.collector.configuration import changed, put_setting
from metlo_otel.collector.dashboard.access import Keyring, write_keyring
from metlo_otel.collector.database import open_database, reason_of
from metlo_otel.collector.facts import Facts
from metlo_otel.collector.inventory import Inventory
from metlo_otel.collector.rules import put_rule
from metlo_otel.collector.schema import FACTS
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.writer import BusyError, Writer
from tests.collector.client import Client, make_trace

_NO_SETTINGS = "CREATE TRIGGER none BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'nothing is taken'); END"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(str(tmp_path / "x.db"))
    yield engine
    engine.dispose()


def _nothing(_connection: Connection, _batch: object) -> None:
    """Write nothing."""


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    writer = Writer(engine, _nothing, _nothing, lambda: None)
    yield writer
    writer.close()


class Gate:
    """Work that waits until it is let go."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self._raises = raises
        self.started, self.open = threading.Event(), threading.Event()

    def __call__(self, _connection: Connection) -> None:
        self.started.set()
        self.open.wait(5)
        if self._raises is not None:
            raise self._raises


def _refused(path: str) -> SQLAlchemyError:
    store = Store(path, duties=False)
    try:
        store.change(lambda connection: connection.exec_driver_sql(_NO_SETTINGS)).result()
        with pytest.raises(SQLAlchemyError) as problem:
            store.change(lambda connection: write_keyring(connection, Keyring("the-hash", "the-secret"))).result()
        return problem.value
    finally:
        store.close()


def test_no_secret_in_an_error(tmp_path: Path) -> None:
    """What the database did not take is not in the text of the error that tells so."""
    problem = _refused(str(tmp_path / "x.db"))
    assert "nothing is taken" in reason_of(problem)
    assert "the-hash" not in str(problem)
    assert "the-secret" not in repr(problem)


def test_no_row_in_a_log() -> None:
    """PostgreSQL tells the row below the reason; only the reason is for a log."""
    said = Exception("null value in column\nDETAIL:  Failing row contains (the-secret).")
    assert reason_of(IntegrityError("INSERT", {}, said)) == "Exception: null value in column"


def test_who_stops_waiting(writer: Writer) -> None:
    """Work that was cancelled while it waited is left out, and what came after it is done."""
    gate, done = Gate(), []
    writer.submit(gate)
    assert gate.started.wait(5)
    cancelled: Future[None] = writer.submit(lambda _connection: done.append(1))
    last = writer.submit(lambda _connection: "done")
    assert cancelled.cancel()
    gate.open.set()
    assert last.result(5) == "done"
    assert not done
    assert writer.submit(lambda _connection: "more").result(5) == "more"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_ends(writer: Writer) -> None:
    """Whatever ends the writer, nobody waits for ever and nothing more is taken."""
    gate = Gate(SystemExit())
    ending = writer.submit(gate)
    assert gate.started.wait(5)
    waiting = writer.submit(lambda _connection: 1)
    gate.open.set()
    assert isinstance(ending.exception(5), BusyError)
    assert isinstance(waiting.exception(5), BusyError)
    with pytest.raises(BusyError):
        writer.submit(lambda _connection: 1)


def _with_types(*names: str) -> Trace:
    found = {"dataTypes": {f"reqQuery.{name}": ["string"] for name in names}}
    return read_trace(make_trace(processedTraceData=found), 2)


def test_an_endpoint_of_which_too_much_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never has more facts than it may, in memory and in the database alike, and the newest are among them."""
    monkeypatch.setattr(facts, "MAX_FACTS", 8)
    learner = Facts()
    with engine.begin() as connection:
        number = Inventory(str).find(connection, _with_types(), 1).id
        learner.learn(connection, [(number, _with_types(*"abcdefghij"))], 1)
        learner.learn(connection, [(number, _with_types(name)) for name in "klmn"], 2)
        stored = {row.key for row in connection.execute(select(FACTS))}
        assert len(learner.of(number)) == len(connection.execute(select(FACTS)).all()) <= 8
    assert "reqQuery.n" in stored
    assert {fact.key for fact in learner.of(number)} == stored


def test_long_texts_are_not_remembered(engine: Engine) -> None:
    """What strangers make as long as they like is answered but kept in no memory."""
    inventory = Inventory(str)
    with engine.begin() as connection:
        for path in ("/short", "/" + "x" * 100_000):
            inventory.find(connection, read_trace(make_trace(path), 2), 1)
    assert [place[2] for place in inventory._recent] == ["/short"]
    before = addresses._is_global.cache_info().currsize
    assert not is_public("8" * 100_000)
    assert addresses._is_global.cache_info().currsize == before


@pytest.mark.parametrize("item", [{"name": "\ud800"}, {"name": "x", "action": {"blockEndTime": 10**30}}])
def test_a_rule_that_cannot_be_served(engine: Engine, item: dict[str, Any]) -> None:
    """What no agent could be sent is refused in words, and not stored."""
    group = {"rule": "all", "conditions": [{"field": "path", "operator": "eq", "key": None, "value": "/x"}]}
    rule = {"ruleType": "block", "conditionGroups": [group], **item}
    if "action" in rule:
        rule["action"] = {"actionType": "block", **rule["action"]}
    with engine.begin() as connection, pytest.raises(ValueError, match=r"a rule: .* JSON|blockEndTime"):
        put_rule(connection, rule)


def test_a_setting_that_cannot_be_served(collector: RunningCollector, client: Client) -> None:
    """It is refused in words; where one is stored all the same, agents keep what was in force."""
    with pytest.raises(ValueError, match=r"hostBlockList: .* JSON"):
        collector.store.configure("hostBlockList", ["\ud800"])
    before = client.get("/api/v1/agent-config")

    def spoil(connection: Connection) -> None:
        put_setting(connection, "hostBlockList", ["\ud800"])
        changed(connection)

    collector.store.change(spoil).result()
    after = client.get("/api/v1/agent-config")
    assert (after.status_code, after.content, after.headers["ETag"]) == (200, before.content, before.headers["ETag"])
    collector.store.configure("hostBlockList", ["x"])
    assert client.get("/api/v1/agent-config").json()["hostBlockList"] == ["x"]


def test_a_version_out_of_all_bounds(client: Client) -> None:
    """However many digits a version has, it is one that is not there."""
    assert client.post([], f"v{'7' * 5_000}/log-request/batch").status_code == 404
