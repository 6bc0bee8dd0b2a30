"""Telling alerts: each destination of each alert once, whatever becomes of the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.collector import actions, notify, queries
from metlo_otel.collector.destinations import Rules, check_rules, list_destinations
from metlo_otel.collector.notify import (
    GIVE_UP,
    WAITS,
    Notifier,
    count_waiting,
    deliveries_of,
    list_sendings,
    try_out,
)
from metlo_otel.collector.sending import message_of, send, signature
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import make_trace
from tests.collector.hook import Hook, running_hook

# Apprise 2.3 looks whether Python still has a module that it replaces where it is gone.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "a-secret-of-the-webhook"


class Clock:
    """Seconds since the epoch, as the test has them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_first_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new endpoint is an alert of its own, as from a host's second day on."""
    monkeypatch.setattr("metlo_otel.collector.watching.LEARNING", -60_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database, duties=False)
    store.public = "https://metlo.example"
    yield store
    store.close()


@pytest.fixture
def hooks() -> Iterator[tuple[Hook, Hook]]:
    with ExitStack() as stack:
        yield stack.enter_context(running_hook()), stack.enter_context(running_hook())


@pytest.fixture
def hook(hooks: tuple[Hook, Hook]) -> Hook:
    return hooks[0]


def _send_to(store: Store, hook: Hook, name: str = "hook", rules: Rules | None = None) -> None:
    add = partial(actions.add_destination, name=name, url=hook.url, who="test", rules=rules or Rules(), secret=SECRET)
    assert store.change(add).result() == SECRET


def _add(store: Store, *traces: dict[str, Any]) -> None:
    store.add([read_trace(trace, 2) for trace in traces]).result()


def _attack(path: str = "/items/1", host: str = "shop.example") -> dict[str, Any]:
    found = {"block": False, "dataTypes": {}, "attackDetections": {"reqQuery.q": ["SQLI"]}}
    sent = make_trace(path, processedTraceData=found)
    sent["request"]["url"]["host"] = host
    return sent


def test_a_webhook(store: Store, hook: Hook, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Alerts are posted with a signature of time and body and a link to each one's page, and told to the log once."""
    _send_to(store, hook)
    _add(store, _attack())
    notifier = Notifier(clock)
    assert [notifier.tell(store) for _ in range(3)] == [2, 0, 0]
    ((signed, body),) = hook.got
    moment = int(signed.partition(",")[0].removeprefix("t="))
    assert abs(moment - time.time()) < 60
    assert signed == signature(SECRET, moment, body)
    alerts = json.loads(body)["alerts"]
    assert {alert["kind"] for alert in alerts} == {"new_endpoint", "attack"}
    assert {alert["url"] for alert in alerts} == {
        f"https://metlo.example/dashboard/alerts/{alert['id']}" for alert in alerts
    }
    assert sum('"attack"' in record.message for record in caplog.records) == 1
    assert SECRET not in caplog.text
    assert SECRET not in str(store.read(lambda connection: queries.find_audit(connection, {})).items)
    assert SECRET not in repr(store.read(list_destinations))


def test_one_dead_one_healthy(store: Store, hooks: tuple[Hook, Hook], clock: Clock) -> None:
    """The healthy one is told of each alert once and at once; the dead one of each once, as soon as it lives again."""
    dead, healthy = hooks
    _send_to(store, dead, "dead")
    _send_to(store, healthy, "healthy")
    dead.status, notifier = 503, Notifier(clock)
    for number in range(4):
        _add(store, _attack(f"/p/{number}x"))
        for _ in range(3):
            notifier.tell(store)
        clock.now += 3600
    expected = sorted(["new_endpoint", "attack"] * 4)
    assert (sorted(healthy.kinds()), dead.kinds()) == (expected, [])
    (ids,) = {tuple(sorted(alert["id"] for alert in healthy.alerts()))}
    assert len(set(ids)) == 8
    waiting = store.read(count_waiting)
    assert list(waiting.values()) == [8]
    dead.status = 200
    clock.now += WAITS[-1]
    notifier.tell(store)
    assert sorted(alert["id"] for alert in dead.alerts()) == list(ids)
    assert sorted(alert["id"] for alert in healthy.alerts()) == list(ids)
    assert store.read(count_waiting) == {}
    assert [each.failures for each in store.read(list_destinations)] == [0, 0]
    told = store.read(partial(deliveries_of, alert=ids[0]))
    assert [(each["name"], each["state"], each["attempts"] > 1) for each in told] == [
        ("dead", "told", True),
        ("healthy", "told", False),
    ]


def test_backoff_over_hours(store: Store, hook: Hook, clock: Clock) -> None:
    """It is tried again after longer and longer; after three days an alert is given up, and new ones are told still."""
    _send_to(store, hook)
    _add(store, make_trace())
    hook.status, notifier, began = 500, Notifier(clock), clock.now
    for wait in WAITS:
        notifier.tell(store)
        clock.now += wait - 1
        before = len(store.read(list_sendings))
        notifier.tell(store)
        assert len(store.read(list_sendings)) == before
        clock.now += 1
    while clock.now < began + GIVE_UP + 2 * WAITS[-1]:
        notifier.tell(store)
        clock.now += WAITS[-1]
    assert store.read(count_waiting) == {}
    hook.status = 200
    notifier.tell(store)
    assert hook.got == []
    _add(store, make_trace("/later"))
    notifier.tell(store)
    assert hook.kinds() == ["new_endpoint"]
    log = store.read(partial(list_sendings, limit=1000))
    assert (log[0]["problem"], log[1]["problem"]) == (None, f"{hook.url.split('/')[2]}: status 500")
    assert len(WAITS) + 15 < len(log) < len(WAITS) + 25


def test_what_was_seen_to_in_the_meantime(store: Store, hook: Hook, clock: Clock) -> None:
    """Alerts that somebody resolved while a webhook was away are not told late; what opens again is told again."""
    _send_to(store, hook)
    _add(store, _attack())
    hook.status, notifier = 500, Notifier(clock)
    notifier.tell(store)
    ids = [each["id"] for each in store.read(partial(queries.find_alerts, parameters={})).items]
    store.change(partial(actions.set_alert_status, ids=ids, status="resolved", who="test")).result()
    hook.status = 200
    clock.now += 60
    notifier.tell(store)
    assert hook.got == []
    for _ in range(2):
        _add(store, _attack())
        assert notifier.tell(store) == 1
        store.change(partial(actions.set_alert_status, ids=ids, status="resolved", who="test")).result()
    assert hook.kinds() == ["attack", "attack"]


def test_who_gets_what(store: Store, hooks: tuple[Hook, Hook], clock: Clock) -> None:
    """By severity, kind and host; who is paused gets nothing, nor what came meanwhile."""
    one, two = hooks
    _send_to(store, one, "severe", check_rules("high"))
    _send_to(store, two, "of one host", check_rules("low", ["new_endpoint", "error_rate"], ["*.example"]))
    _add(store, _attack("/a"), _attack("/b", "other.test"))
    Notifier(clock).tell(store)
    assert one.kinds() == ["attack", "attack"]
    assert [(alert["kind"], alert["detail"]["host"]) for alert in two.alerts()] == [("new_endpoint", "shop.example")]
    numbers = {each.name: each.id for each in store.read(list_destinations)}
    change = partial(actions.change_destination, number=numbers["severe"], who="test")
    store.change(partial(change, enabled=False)).result()
    _add(store, _attack("/c"))
    Notifier(clock).tell(store)
    store.change(partial(change, enabled=True, rules=check_rules("low", ["attack"]))).result()
    _add(store, _attack("/d"))
    Notifier(clock).tell(store)
    assert len(one.got) == 2
    assert [alert["detail"]["path"] for alert in one.alerts()][2:] == ["/d"]


def test_an_alert_that_is_refused(store: Store, hook: Hook, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a destination never takes does not keep the others from it."""

    def choosy(destination: Any, alerts: Any, test: bool = False) -> str | None:
        poisoned = any(alert["detail"].get("path") == "/poison" for alert in alerts)
        return "refused" if poisoned else send(destination, alerts, test)

    monkeypatch.setattr(notify, "send", choosy)
    _send_to(store, hook, rules=check_rules("low", ["new_endpoint"]))
    _add(store, make_trace("/poison"), make_trace("/good"))
    notifier = Notifier(clock)
    for _ in range(30):
        notifier.tell(store)
        clock.now += WAITS[-1]
    _add(store, make_trace("/better"))
    notifier.tell(store)
    assert [alert["detail"]["path"] for alert in hook.alerts()] == ["/good", "/better"]


def test_two_collectors(tmp_path: Path, hook: Hook, clock: Clock) -> None:
    """Of two processes on one database one tells it."""
    path = str(tmp_path / "x.db")
    one, two = Store(path, duties=False), Store(path, duties=False)
    _send_to(one, hook)
    _add(one, _attack())
    assert [Notifier(clock).tell(each) for each in (one, two)] == [2, 0]
    assert len(hook.got) == 1
    one.close()
    two.close()


def test_a_test(store: Store, hook: Hook) -> None:
    """It says that it is one, its failure is told, and the log has it."""
    _send_to(store, hook)
    (destination,) = store.read(list_destinations)
    assert try_out(store, destination.id) == ("hook", None)
    assert json.loads(hook.got[0][1]) == {"alerts": [], "test": True}
    hook.status = 404
    _, problem = try_out(store, destination.id)
    assert problem is not None
    assert problem.endswith("status 404")
    assert [each["alerts"] for each in store.read(list_sendings)] == [0, 0]
    with pytest.raises(LookupError):
        try_out(store, 999)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://", "has no host"),
        ("hooks.example/x", "has a URL"),
        ("https://x/\0", "has a URL"),
        ("nonsense://secret", "Apprise does not know"),
        ("slack://secret", "Apprise does not know"),
    ],
)
def test_wrong_destinations(store: Store, url: str, told: str) -> None:
    """What nobody knows how to reach is refused, in words that do not tell it."""
    with pytest.raises(ValueError, match=told) as refused:
        store.change(partial(actions.add_destination, name="x", url=url, who="test")).result()
    assert "secret" not in str(refused.value)


def test_wrong_names_and_rules(store: Store, hook: Hook) -> None:
    """Names are unique, secrets long enough, rules of what there is."""
    _send_to(store, hook)
    for more in ({"name": "hook"}, {"name": ""}, {"name": "x", "secret": "short"}):
        with pytest.raises(ValueError, match=r"already|has 1 to|at least"):
            store.change(partial(actions.add_destination, url=hook.url, who="test", **more)).result()  # type: ignore[arg-type]
    for rules in (("severe", (), ()), ("low", ("earthquake",), ()), ("low", (), ("a b/*",))):
        with pytest.raises(ValueError, match=r"a severity is|alerts are|a host is"):
            check_rules(*rules)


def test_through_apprise(store: Store, hook: Hook, clock: Clock) -> None:
    """Apprise's own plugins speak to a server of this machine: in words, the severest first, with links."""
    url = hook.url.replace("http://", "json://")
    assert store.change(partial(actions.add_destination, name="chat", url=url, who="test")).result() is None
    _add(store, _attack())
    Notifier(clock).tell(store)
    ((_, body),) = hook.got
    message = json.loads(body)
    assert message["title"] == "metlo-otel: 2 alerts"
    first, second = message["message"].split("\n\n")
    assert first == (
        "[high] Attack: GET shop.example/items/{param1}, SQLI, in reqQuery.q, from 192.0.2.7\n"
        "https://metlo.example/dashboard/alerts/1"
    )
    assert second.startswith("[low] New endpoint: GET shop.example/items/{param1}\n")
    hook.status = 500
    _add(store, make_trace("/other"))
    Notifier(clock).tell(store)
    assert "not delivered" in store.read(list_sendings)[0]["problem"]
    (destination,) = store.read(list_destinations)
    assert (destination.failures, "hook" in destination.shown) == (1, False)


def test_messages_are_text() -> None:
    """What an attacker wrote cannot look like more than one line."""
    detail = {"method": "GET", "host": "x\nhttps://evil.example", "path": "/" + "a" * 900, "category": "XSS"}
    alert = {"kind": "attack", "severity": "high", "detail": detail, "url": "https://metlo.example/dashboard/alerts/1"}
    title, body = message_of([alert])
    assert len(body.splitlines()) == 2
    assert (len(title), title.startswith("[high] Attack: GET x\ufffdhttps")) == (120, True)
