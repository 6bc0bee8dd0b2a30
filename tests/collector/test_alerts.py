"""Alerts: when they are raised, what becomes of them, and how they are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.collector import actions, queries
from metlo_otel.collector.alerts import KINDS
from metlo_otel.collector.notify import Notifier
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import make_trace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "x.db"), duties=False)
    yield store
    store.close()


def _add(store: Store, *traces: dict[str, Any]) -> None:
    store.add([read_trace(trace, 2) for trace in traces]).result()


def _alerts(store: Store, **parameters: str) -> list[dict[str, Any]]:
    return store.read(partial(queries.find_alerts, parameters=parameters)).items


def _found(**more: Any) -> dict[str, Any]:
    return {"block": False, "dataTypes": {}, **more}


def _meta(**more: Any) -> dict[str, Any]:
    return {"environment": "production", "incoming": True, "source": "8.8.8.8", **more}


@pytest.mark.parametrize(
    ("kind", "trace"),
    [
        ("new_endpoint", make_trace()),
        ("sensitive_data", make_trace(processedTraceData=_found(sensitiveDataDetected={"resBody.a": ["Email"]}))),
        ("sensitive_in_url", make_trace(processedTraceData=_found(sensitiveDataDetected={"reqQuery.a": ["Email"]}))),
        (
            "unauthenticated_data",
            make_trace(
                processedTraceData=_found(sensitiveDataDetected={"resBody.a": ["Email"]}),
                sessionMeta={"authenticationProvided": False},
            ),
        ),
        ("basic_authentication", make_trace(sessionMeta={"authenticationProvided": True, "authType": "basic"})),
        ("no_tls", make_trace(meta=_meta(scheme="http"))),
        ("spec_diff", make_trace(processedTraceData=_found(validationErrors={"resBody.a": ["x"]}))),
        ("attack", make_trace(processedTraceData=_found(attackDetections={"reqQuery.q": ["SQLI"]}))),
        ("rate_limit", make_trace(status=429, processedTraceData=_found(block=True), meta=_meta(ruleId="r"))),
    ],
)
def test_each_kind(store: Store, kind: str, trace: dict[str, Any]) -> None:
    """Each is raised once, counted when it is raised again, and not by a trace without its cause."""
    trace["request"]["url"]["host"] = "shop.acme.com"
    _add(store, trace)
    before = {alert["kind"] for alert in _alerts(store)}
    assert kind in before
    assert before <= set(KINDS)
    _add(store, trace, trace)
    (alert,) = _alerts(store, kind=kind)
    assert alert["status"] == "open"
    assert alert["detail"]["path"] == "/items/{param1}"
    harmless = make_trace("/harmless", meta=_meta(scheme="https"))
    harmless["request"]["url"]["host"] = "shop.acme.com"
    _add(store, harmless)
    assert len(_alerts(store, kind=kind)) == (2 if kind == "new_endpoint" else 1)


def test_error_rate(store: Store) -> None:
    """An endpoint that fails often is told by the upkeep; one that fails now and then is not."""
    _add(store, *[make_trace("/bad", 500 if number % 3 else 200) for number in range(90)])
    _add(store, *[make_trace("/good", 500 if number % 20 == 0 else 200) for number in range(90)])
    store.keep_up()
    (alert,) = _alerts(store, kind="error_rate")
    assert (alert["detail"]["path"], alert["detail"]["calls"], alert["detail"]["errors"]) == ("/bad", 90, 60)


def test_an_endpoint_that_a_description_lacks(store: Store) -> None:
    """With a description of the host, endpoints that it does not have are told; hosts without one are left alone."""
    text = json.dumps({"openapi": "3.1.0", "paths": {"/items/{id}": {"get": {}}}})
    store.change(partial(actions.put_spec, name="shop", host="shop.example", text=text, who="test")).result()
    _add(store, make_trace(), make_trace("/other"))
    (alert,) = _alerts(store, kind="spec_diff")
    assert alert["detail"]["path"] == "/other"


def test_resolved_and_ignored(store: Store) -> None:
    """What is resolved opens again and is told again when it happens again; what is ignored stays so."""
    attack = make_trace(processedTraceData=_found(attackDetections={"reqQuery.q": ["SQLI"]}))
    _add(store, attack)
    assert Notifier().tell(store) == 2
    assert Notifier().tell(store) == 0
    (alert,) = _alerts(store, kind="attack")

    def put(status: str) -> None:
        store.change(partial(actions.set_alert_status, ids=[alert["id"]], status=status, who="test")).result()

    put("resolved")
    assert _alerts(store, kind="attack", status="open") == []
    _add(store, attack)
    assert Notifier().tell(store) == 1
    put("ignored")
    _add(store, attack)
    (alert,) = _alerts(store, kind="attack")
    assert (alert["status"], alert["count"]) == ("ignored", 3)
    assert Notifier().tell(store) == 0
    with pytest.raises(ValueError, match="open, resolved, ignored"):
        put("forgotten")
