"""Agents of this package and the collector, with nothing between them but a socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest
from flask import Flask, request

from metlo_otel.blocking.remote import RemoteConfiguration
from metlo_otel.collector.actions import change_rule, put_rule, put_spec, remove_rule, set_full_capture
from metlo_otel.collector.server import RunningCollector
from metlo_otel.core.agent_config import Served
from metlo_otel.flask import MetloFlask
from tests.collector.client import KEY, Client

_PROMISED = 5.0  # seconds in which a change is with every agent that is connected
_IN_FORCE = 20.0  # seconds that a machine with much else to do may take for it
_LOOKS = 1.0  # seconds after which an agent looks again whether it is due


@pytest.fixture
def app(collector: RunningCollector) -> Iterator[Flask]:
    """An app whose agent is connected: it has reported, so it has a configuration."""
    app = Flask("shop")

    @app.route("/items/<int:item>", methods=["GET", "POST"])
    def show(item: int) -> dict[str, object]:
        return {"id": item, "owner": "anna@shop.example", "sent": request.get_data(as_text=True)}

    metlo = MetloFlask(app, collector.url, KEY, config_cache="off")
    assert metlo.agent is not None
    app.test_client().get("/items/1")
    assert metlo.agent.flush(10)
    yield app
    metlo.agent.shutdown()


def _within(seconds: float, is_so: Callable[[], bool]) -> float:
    """After how many seconds it was so."""
    began, pause = time.monotonic(), threading.Event()
    while not is_so():
        assert time.monotonic() - began < seconds
        pause.wait(0.05)
    return time.monotonic() - began


def test_agents_ask_often_enough(client: Client) -> None:
    """What the collector tells agents has them ask again within five seconds, with a second left for the request."""
    answer = client.get("/api/v1/agent-config")
    seconds = int(answer.headers["Cache-Control"].removeprefix("private, max-age="))
    asked: list[float] = []
    now = 0.0

    def fetch(_etag: str | None) -> Served:
        asked.append(now)
        return Served(answer.json(), again=seconds)

    remote = RemoteConfiguration(fetch, pytest.fail, clock=lambda: now)
    for _ in range(30):
        remote.refresh_if_due()
        now += _LOOKS
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses
    assert max(pauses) <= _PROMISED - 1


def test_a_rule_is_in_force_at_once(app: Flask, collector: RunningCollector) -> None:
    """What is blocked, watched only, and let pass again is so in an agent soon after the change."""
    client = app.test_client()

    def status() -> int:
        return client.get("/items/7", headers={"User-Agent": "BadBot/1"}).status_code

    assert status() == 200
    item = {"name": "no bots", "block": True, "header": {"User-Agent": {"contains": "BadBot"}}}
    rule = collector.store.change(partial(put_rule, item=item, who="test")).result()
    _within(_IN_FORCE, lambda: status() == 403)
    assert client.get("/items/7").status_code == 200
    collector.store.change(partial(change_rule, rule=rule.id, who="test", mode="monitor")).result()
    _within(_IN_FORCE, lambda: status() == 200)
    collector.store.change(partial(change_rule, rule=rule.id, who="test", mode="block")).result()
    _within(_IN_FORCE, lambda: status() == 403)
    collector.store.change(partial(remove_rule, rule=rule.id, who="test")).result()
    _within(_IN_FORCE, lambda: status() == 200)


def test_what_an_agent_reports_is_found(app: Flask, client: Client, collector: RunningCollector) -> None:
    """The route, the data classes and the block of a rule are in the store as the agent told them."""
    rule = {"name": "no tea", "block": True, "parameter": {"q": {"contains": "tea"}}}
    collector.store.change(partial(put_rule, item=rule, who="test")).result()
    _within(_IN_FORCE, lambda: app.test_client().get("/items/9?q=tea").status_code == 403)
    _within(_IN_FORCE, lambda: len(client.items("traces", blocked="true")) > 0)
    (endpoint,) = client.items("endpoints")
    assert (endpoint["path"], endpoint["method"], endpoint["inferred"]) == ("/items/{item}", "GET", False)
    assert "Email" in endpoint["classes"]
    assert client.items("traces", blocked="true")[0]["rule"]


def test_full_capture_reaches_the_agent(app: Flask, client: Client, collector: RunningCollector) -> None:
    """An endpoint's content comes once somebody wants it, and not before."""
    (before,) = client.items("traces")
    assert before["redacted"]
    (endpoint,) = client.items("endpoints")
    collector.store.change(partial(set_full_capture, endpoint=endpoint["id"], capture=True, who="test")).result()

    def is_whole() -> bool:
        app.test_client().get("/items/3")
        return not client.items("traces", limit=1)[0]["redacted"]

    _within(_IN_FORCE, is_whole)
    whole = client.read(f"/api/v1/traces/{client.items('traces', limit=1)[0]['id']}").json()
    assert "anna@shop.example" in whole["trace"]["response"]["body"]


def test_a_description_is_held_against_answers(app: Flask, client: Client, collector: RunningCollector) -> None:
    """An uploaded OpenAPI description reaches the agent, whose answers that differ raise an alert here."""
    text = """{"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/items/{item}": {"get": {
        "responses": {"200": {"description": "x", "content": {"application/json": {"schema": {
        "type": "object", "properties": {"id": {"type": "string"}}}}}}}}}}}"""
    collector.store.change(partial(put_spec, name="shop", host="localhost", text=text, who="test")).result()

    def is_told() -> bool:
        app.test_client().get("/items/3")
        return any(alert["kind"] == "spec_diff" for alert in client.items("alerts"))

    _within(_IN_FORCE, is_told)


def test_all_that_agents_count_is_known(collector: RunningCollector, client: Client) -> None:
    """Each request is counted by the collector once, whether or not it has a trace: most have none, an attack has."""
    app = Flask("shop")
    app.get("/items/<int:item>")(lambda item: {"id": item})
    metlo = MetloFlask(app, collector.url, KEY, config_cache="off", first_rules_wait=5)
    agent = metlo.agent
    assert agent is not None
    browser = app.test_client()
    calls = 200
    for number in range(calls):
        assert browser.get(f"/items/{number}").status_code == 200
    assert browser.get("/items/1?q=%27%20or%201=1--").status_code == 200
    assert agent.flush(10)
    stats = agent.stats()
    (endpoint,) = client.items("endpoints")
    assert (endpoint["path"], endpoint["calls"]) == ("/items/{item}", calls + 1)
    assert (stats.captured, stats.sent + stats.counted, dict(stats.dropped)) == (calls + 1, calls + 1, {})
    assert stats.counted > calls / 2
    assert len(client.items("attacks")) == 1
    agent.shutdown()
