"""Alerts: when they are raised, what becomes of them, and how they are told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from metlo_otel.collector import actions, queries
from metlo_otel.collector.alert_kinds import KINDS, SEVERITIES, difference, reason_of, title_of
from metlo_otel.collector.dashboard import words
from metlo_otel.collector.notify import Notifier
from metlo_otel.collector.schema import ENDPOINTS
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


def _grow_old(store: Store) -> None:
    """Everything that was seen was so two days ago: the hosts are not new any more."""
    long_ago = int(time.time() * 1000) - 2 * 86_400_000
    store.change(lambda connection: connection.execute(update(ENDPOINTS).values(first_seen=long_ago))).result()


def _of_a_known_host(store: Store) -> None:
    _add(store, _at("shop.acme.com", make_trace("/known", meta=_meta(scheme="https"))))
    _grow_old(store)


def _at(host: str, trace: dict[str, Any]) -> dict[str, Any]:
    trace["request"]["url"]["host"] = host
    return trace


RAISING: dict[str, dict[str, Any]] = {
    "new_endpoint": make_trace(),
    "endpoints_found": make_trace(),
    "sensitive_data": make_trace(processedTraceData=_found(sensitiveDataDetected={"resBody.a": ["Email"]})),
    "sensitive_in_url": make_trace(processedTraceData=_found(sensitiveDataDetected={"reqQuery.a": ["Email"]})),
    "unauthenticated_data": make_trace(
        processedTraceData=_found(sensitiveDataDetected={"resBody.a": ["Email"]}),
        sessionMeta={"authenticationProvided": False},
    ),
    "basic_authentication": make_trace(sessionMeta={"authenticationProvided": True, "authType": "basic"}),
    "no_tls": make_trace(meta=_meta(scheme="http")),
    "spec_diff": make_trace(processedTraceData=_found(validationErrors={"resBody.a": ["x"]})),
    "attack": make_trace(processedTraceData=_found(attackDetections={"reqQuery.q": ["SQLI"]})),
    "rate_limit": make_trace(status=429, processedTraceData=_found(block=True), meta=_meta(ruleId="r")),
}


def test_kinds_are_said_once() -> None:
    """Each kind of the one table has words, a severity, a reason and advice, is raised by a test of this file, and the
    pages call it so.
    """
    assert set(RAISING) | {"error_rate"} == set(KINDS)
    assert {kind: words.ALERTS[kind] for kind in KINDS} == {kind: each.words for kind, each in KINDS.items()}
    for kind, each in KINDS.items():
        assert each.severity in SEVERITIES
        assert each.advice.endswith(".")
        assert title_of(kind) == each.words
        assert len(reason_of(kind, {}, 1)) > 10, kind
    assert list(queries.ALERT_FILTERS["kind"].values) == list(KINDS)


@pytest.mark.parametrize("kind", set(RAISING) - {"endpoints_found", "rate_limit"})
def test_each_kind(store: Store, kind: str) -> None:
    """Each is raised once, counted when it is raised again, and not by a trace without its cause."""
    trace = _at("shop.acme.com", RAISING[kind])
    _of_a_known_host(store)
    _add(store, trace)
    before = {alert["kind"] for alert in _alerts(store)}
    assert kind in before
    assert before <= set(KINDS)
    _add(store, trace, trace)
    (alert,) = _alerts(store, kind=kind)
    assert alert["status"] == "open"
    assert alert["reason"] == KINDS[kind].reason({**alert["detail"], "count": alert["count"]})
    assert alert["detail"]["path"] == "/items/{param1}"
    harmless = _at("shop.acme.com", make_trace("/harmless", meta=_meta(scheme="https")))
    _add(store, harmless)
    assert len(_alerts(store, kind=kind)) == (2 if kind == "new_endpoint" else 1)


def test_a_limit_that_was_reached(store: Store) -> None:
    """Rejected requests are told once; their endpoint is none of the app's yet, and so no news."""
    _of_a_known_host(store)
    before = {alert["id"] for alert in _alerts(store)}
    _add(store, _at("shop.acme.com", RAISING["rate_limit"]))
    assert [alert["kind"] for alert in _alerts(store) if alert["id"] not in before] == ["rate_limit"]


def test_the_first_day_of_a_host(store: Store) -> None:
    """The endpoints of a host's first day are one alert with their number, those of later days one each."""
    _add(store, *[make_trace(f"/collection-{number}x") for number in range(23)])
    (alert,) = _alerts(store)
    assert (alert["kind"], alert["count"]) == ("endpoints_found", 23)
    assert alert["reason"] == "23 endpoints found on the first day of shop.example"
    _grow_old(store)
    _add(store, make_trace("/later"))
    assert [(alert["kind"], alert["detail"]["path"]) for alert in _alerts(store, kind="new_endpoint")] == [
        ("new_endpoint", "/later")
    ]
    assert _alerts(store, kind="endpoints_found")[0]["count"] == 23


def test_what_was_blocked_is_not_the_apps(store: Store) -> None:
    """A request that we blocked differs from no description and makes no endpoint new; an answer of the app's does."""
    text = json.dumps({"openapi": "3.1.0", "paths": {"/items/{id}": {"get": {}}}})
    store.change(partial(actions.put_spec, name="shop", host="shop.example", text=text, who="test")).result()
    _add(store, make_trace())
    _grow_old(store)
    before = {alert["id"] for alert in _alerts(store)}
    blocked = _found(block=True, validationErrors={"resBody.a": ["type: number"]})
    _add(store, make_trace(status=403, processedTraceData=blocked))
    _add(store, make_trace("/other", status=403, processedTraceData=blocked))
    assert {alert["id"] for alert in _alerts(store)} == before
    _add(store, make_trace("/other"))
    assert {alert["kind"] for alert in _alerts(store) if alert["id"] not in before} == {"new_endpoint", "spec_diff"}


@pytest.mark.parametrize(
    ("key", "messages", "types", "told"),
    [
        ("resBody.price", ["type: number"], ["string"], "field `price` is a string, the description says number"),
        (
            "resBody.a",
            ["type: null or string"],
            ["integer"],
            "field `a` is an integer, the description says null or string",
        ),
        ("resBody.[]", ["required: id"], [], "field `[]` lacks `id`, which the description requires"),
        ("resBody", ["type: array"], ["object"], "the response's body is an object, the description says array"),
        ("resHeaders.ETag", ["required: missing"], [], "the response header `ETag` is missing"),
        (
            "resBody.a",
            ["enum", "maxLength: 3"],
            [],
            "field `a` has a value that the description does not list, and breaks",
        ),
        ("resBody.a", [], [], "field `a` is not as the description says"),
    ],
)
def test_how_it_differs(key: str, messages: list[str], types: list[str], told: str) -> None:
    """The reason names the field, what it is, and what the description says."""
    assert difference(key, messages, types).startswith(told)


def test_the_reason_is_in_the_alert(store: Store) -> None:
    """What an agent's validator found is told with the type that was seen."""
    found = _found(
        dataTypes={"resBody.price": ["string"]}, validationErrors={"resBody.price": ["type: number"], "b": 3}
    )
    _add(store, make_trace(processedTraceData=found))
    reasons = {alert["reason"] for alert in _alerts(store, kind="spec_diff")}
    assert "field `price` is a string, the description says number" in reasons


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-real-ip", "Forwarded", "CF-Connecting-IP", "True-Client-IP"])
def test_headers_of_proxies(store: Store, header: str) -> None:
    """Addresses in the headers of proxies are no sensitive data of an endpoint; in another header they are."""
    _add(store, make_trace(processedTraceData=_found(sensitiveDataDetected={f"reqHeaders.{header}": ["IP Address"]})))
    assert _alerts(store, kind="sensitive_data") == []
    _add(store, make_trace(processedTraceData=_found(sensitiveDataDetected={"reqHeaders.X-Mine": ["IP Address"]})))
    assert [alert["detail"]["field"] for alert in _alerts(store, kind="sensitive_data")] == ["reqHeaders.X-Mine"]


def test_the_gravest_first(store: Store) -> None:
    """Alerts come by severity, and by kind with how many there are of each."""
    _add(store, make_trace("/a", processedTraceData=_found(attackDetections={"reqQuery.q": ["SQLI"]})))
    _add(store, make_trace("/b", processedTraceData=_found(attackDetections={"reqQuery.q": ["XSS"]})))
    _add(store, make_trace("/c", processedTraceData=_found(sensitiveDataDetected={"resBody.a": ["Email"]})))
    found = [alert["severity"] for alert in _alerts(store)]
    assert found == sorted(found, key=SEVERITIES.index)
    assert len(set(found)) == 3
    groups = store.read(partial(queries.group_alerts, parameters={}))
    assert [(group["kind"], group["alerts"]) for group in groups] == [
        ("attack", 2),
        ("sensitive_data", 1),
        ("endpoints_found", 1),
    ]


def test_snoozed(store: Store) -> None:
    """A snoozed alert stays away, also when it happens again, until its time is over; then it is told again."""
    attack = make_trace(processedTraceData=_found(attackDetections={"reqQuery.q": ["SQLI"]}))
    _add(store, attack)
    Notifier().tell(store)
    (alert,) = _alerts(store, kind="attack")
    snooze = partial(actions.set_alert_status, ids=[alert["id"]], status="snoozed", who="test")
    store.change(partial(snooze, until=int(time.time() * 1000) + 3_600_000)).result()
    _add(store, attack)
    store.keep_up()
    assert _alerts(store, kind="attack", status="open") == []
    assert Notifier().tell(store) == 0
    store.change(partial(snooze, until=int(time.time() * 1000) + 40)).result()
    time.sleep(0.05)
    store.keep_up()
    (alert,) = _alerts(store, kind="attack", status="open")
    assert alert["snoozedUntil"] is None
    assert Notifier().tell(store) == 1
    for until in (None, 5):
        with pytest.raises(ValueError, match="until a moment that is to come"):
            store.change(partial(snooze, until=until)).result()


def test_looked_after(store: Store) -> None:
    """An alert is assigned and commented on, which the audit log knows; empty and endless comments are refused."""
    _add(store, make_trace())
    (alert,) = _alerts(store)
    assert store.change(partial(actions.assign_alert, alert=alert["id"], assignee=" ada ", who="test")).result()
    assert store.change(partial(actions.comment_alert, alert=alert["id"], text="on it", who="ada")).result()
    assert [each["id"] for each in _alerts(store, assignee="ada")] == [alert["id"]]
    found = store.read(partial(queries.read_alert, alert=alert["id"]))
    assert found is not None
    assert [(each["who"], each["text"]) for each in found["comments"]] == [("ada", "on it")]
    audited = [item["action"] for item in store.read(partial(queries.find_audit, parameters={})).items]
    assert audited[:2] == ["alerts.comment", "alerts.assign"]
    assert not store.change(partial(actions.comment_alert, alert=99, text="x", who="ada")).result()
    assert not store.change(partial(actions.assign_alert, alert=99, assignee="x", who="ada")).result()
    for text in (" ", "x" * 4_001):
        with pytest.raises(ValueError, match="1 to 4,000 characters"):
            store.change(partial(actions.comment_alert, alert=alert["id"], text=text, who="ada")).result()


def test_ignored_here(store: Store) -> None:
    """A kind that is ignored at an endpoint raises nothing there, and does elsewhere; that can be taken back."""
    sqli, xss = ({"reqQuery.q": [name]} for name in ("SQLI", "XSS"))
    _add(store, make_trace("/a", processedTraceData=_found(attackDetections=sqli)))
    (alert,) = _alerts(store, kind="attack")
    assert store.change(partial(actions.mute_kind, alert=alert["id"], who="test")).result()
    assert store.change(partial(actions.mute_kind, alert=alert["id"], who="test")).result()
    _add(store, make_trace("/a", processedTraceData=_found(attackDetections=xss)))
    assert _alerts(store, kind="attack", status="open") == []
    _add(store, make_trace("/b", processedTraceData=_found(attackDetections=sqli)))
    assert [each["detail"]["path"] for each in _alerts(store, kind="attack", status="open")] == ["/b"]
    (mute,) = store.read(queries.list_mutes)
    assert (mute["kind"], mute["path"]) == ("attack", "/a")
    assert store.change(partial(actions.unmute_kind, mute=mute["id"], who="test")).result()
    _add(store, make_trace("/a", processedTraceData=_found(attackDetections={"reqQuery.q": ["SSRF"]})))
    assert {each["detail"]["category"] for each in _alerts(store, kind="attack", status="open")} == {"SQLI", "SSRF"}


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
    with pytest.raises(ValueError, match="open, snoozed, resolved, ignored"):
        put("forgotten")
