"""Apps with our agent are services as those that send spans are: counted, filtered, and what keys are bound to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from metlo_otel.cli import main
from metlo_otel.collector.keys import Grant, add_key, check_services, list_keys
from metlo_otel.collector.schema import ENDPOINT_SERVICES
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.sums_wire import SumsReader
from metlo_otel.collector.trace import read_trace
from metlo_otel.flask import MetloFlask
from tests.collector.client import KEY, Client, make_trace
from tests.collector.otlp import document, span
from tests.collector.sums import make_document, make_key

_CALLS = 40


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database, duties=False)
    yield store
    store.close()


def _serve(url: str, key: str, name: str | None, calls: int = _CALLS) -> None:
    """An app with the agent is asked so many times, and tells."""
    app = Flask("shop")

    @app.route("/items/<int:item>")
    def show(item: int) -> dict[str, int]:
        return {"id": item}

    metlo = MetloFlask(app, url, key, config_cache="off", first_rules_wait=5, service_name=name, environment="eu")
    assert metlo.agent is not None
    for number in range(calls):
        app.test_client().get(f"/items/{number}", base_url="http://shop.example")
    assert metlo.agent.flush(10)
    metlo.agent.shutdown()


def _rows(store: Store) -> list[tuple[Any, ...]]:
    rows = store.read(lambda connection: connection.execute(select(ENDPOINT_SERVICES)).all())
    return sorted(tuple(row[1:]) for row in rows)


def _told(service: str | None, environment: str = "production", **more: Any) -> dict[str, Any]:
    sent = make_trace(**more)
    sent["meta"] |= {"environment": environment} | ({"service": service, "language": "python"} if service else {})
    return sent


def test_an_agents_app_is_a_service(client: Client, collector: RunningCollector) -> None:
    """Each call is counted once under its name, environment and language, whether it has a trace or only counts; who
    calls its host by OpenTelemetry's spans calls this service.
    """
    _serve(collector.url, KEY, "shop")
    (endpoint,) = client.items("endpoints")
    assert (endpoint["calls"], endpoint["services"]) == (_CALLS, ["shop"])
    assert client.items("services") == [
        {"service": "shop", "environment": "eu", "language": "python", "endpoints": 1, "calls": _CALLS}
    ]
    called = document(span(3, {"url.full": "http://shop.example/items/1", "http.request.method": "GET"}), service="web")
    assert client.session.post(f"{client.url}/v1/traces", json=called, timeout=10).status_code == 200
    (edge,) = client.items("service-calls")
    assert (edge["caller"], edge["callee"], edge["kind"]) == ("web", "shop", "service")


def test_no_name_no_service(client: Client, collector: RunningCollector) -> None:
    """An app that says none is in the inventory as ever, and no service."""
    _serve(collector.url, KEY, None, calls=2)
    assert client.items("endpoints")[0]["calls"] == 2
    assert client.items("services") == []


def test_sums_of_several_services(store: Store) -> None:
    """Documents that are written together are counted each under its own service, environment and language."""
    reader = SumsReader()
    for service, environment, times in (("shop", "eu", 3), ("shop", "us", 2), ("billing", "eu", 1), (None, "eu", 7)):
        sent = make_document([make_key()], [1_000.0] * times) | {"service": service, "environment": environment}
        store.add_sums(reader.read(sent | ({"language": "python"} if service else {}))).result()
    assert _rows(store) == [
        ("billing", "eu", "python", 1), ("shop", "eu", "python", 3), ("shop", "us", "python", 2),
    ]  # fmt: skip


def test_a_key_that_is_bound_to_a_service(client: Client, collector: RunningCollector) -> None:
    """Of others, and of who names none, it sends neither traces nor sums nor spans nor calls."""
    grant = Grant(services=check_services("shop, shop ,till"))
    key = collector.store.change(partial(add_key, name="shop", who="test", grant=grant)).result()
    assert [each.grant for each in collector.store.read(list_keys) if each.name == "shop"] == [grant]
    collector.store.keys.refresh()
    client.session.headers["Authorization"] = key
    answer = client.post([_told("shop"), _told("billing"), _told(None)]).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 2)
    assert {problem["where"] for problem in answer["problems"]} == {"meta.service"}
    assert "for the service shop or till, not for 'billing'" in str(answer)
    assert "no service was named; set SERVICE_NAME" in str(answer)
    for service, status in (("till", 200), ("billing", 400), (None, 400)):
        sent = client.post(make_document([make_key()]) | {"service": service}, "v1/aggregates")
        assert sent.status_code == status, sent.text
    server = span(2, {"http.request.method": "GET", "url.path": "/x", "server.address": "shop.example"})
    called = span(3, {"url.full": "http://other.example/", "http.request.method": "GET"})
    for service, refused in (("shop", None), ("billing", "1")):
        sent = client.session.post(
            f"{client.url}/v1/traces", json=document(server, called, service=service), timeout=10
        )
        assert sent.json().get("partialSuccess", {}).get("rejectedSpans") == refused
    assert {each["caller"] for each in client.items("service-calls")} == {"shop"}
    assert {each["service"] for each in client.items("services")} == {"shop", "till"}


def test_an_agent_whose_key_is_anothers(client: Client, collector: RunningCollector) -> None:
    """Nothing of an app that calls itself otherwise is stored."""
    grant = Grant(services=("billing",))
    key = collector.store.change(partial(add_key, name="billing", who="test", grant=grant)).result()
    collector.store.keys.refresh()
    _serve(collector.url, key, "shop")
    assert client.items("endpoints") == []
    _serve(collector.url, key, "billing")
    assert client.items("endpoints")[0]["calls"] == _CALLS


@pytest.mark.parametrize("text", ["a\0b", "x" * 256, ",".join(map(str, range(51)))])
def test_services_that_no_key_is_bound_to(text: str) -> None:
    """What the inventory cannot hold is refused."""
    with pytest.raises(ValueError, match="service"):
        check_services(text)


def test_lists_by_service_and_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each list is narrowed by host, service and environment; what was never seen is an error that tells what was."""
    where = str(tmp_path / "cli.db")
    store = Store(where, duties=False)
    attacked = {"processedTraceData": {"attackDetections": {"reqQuery.q": ["SQLI"]}}}
    traces = [_told("shop", "eu", path="/a", **attacked), _told("billing", "us", path="/b", **attacked)]
    traces[1]["request"]["url"]["host"] = "billing.example"
    store.add([read_trace(each, 2) for each in traces]).result()
    store.close()
    for command in ("endpoints", "traces", "attacks"):
        for option, value in (("service", "shop"), ("environment", "eu"), ("host", "shop.example")):
            assert main([command, "--db", where, f"--{option}", value]) == 0
            shown = capsys.readouterr().out
            assert ("/a" in shown, "/b" in shown) == (True, False)
        for option, there_are in (
            ("service", "billing, shop"), ("environment", "eu, us"), ("host", "billing.example, shop.example"),
        ):  # fmt: skip
            assert main([command, "--db", where, f"--{option}", "nobody"]) == 2
            assert f"--{option} is 'nobody', of which there is none; there are {there_are}" in capsys.readouterr().err
        assert main([command, "--db", where, "--service", "shop", "--environment", "us"]) == 0


def test_an_export_by_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same; a question that is wrong leaves the file of before as it is."""
    where, kept = str(tmp_path / "cli.db"), tmp_path / "out.json"
    store = Store(where, duties=False)
    store.add([read_trace(_told(name, path=f"/{name}"), 2) for name in ("shop", "billing")]).result()
    store.close()
    kept.write_text("before")
    for wrong in (("--service", "nobody"), ("--status", "often")):
        assert main(["export", "--db", where, "--json", "-o", str(kept), *wrong]) == 2
        assert wrong[1] in capsys.readouterr().err
        assert kept.read_text() == "before"
    assert main(["export", "--db", where, "--json", "-o", str(kept), "--service", "shop"]) == 0
    (line,) = kept.read_text().splitlines()
    assert "/shop" in line
