"""Every exchange is counted at its close; what matters is told of, the rest is let go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.analysis.suspicion import Suspicion
from metlo_otel.core.agent_config import AgentConfig, parse_agent_config
from metlo_otel.core.aggregates import Aggregates
from metlo_otel.core.exchange import Exchange, Verdict
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.settings import Settings
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.export.watch import Watch, source_of
from tests.export.exchanges import asgi_exchange, wsgi_exchange
from tests.export.loopback import Metlo

Make = Callable[..., Pipeline]
MANY = 400


def _configured(pipeline: Make, metlo: Metlo, **more: Any) -> Pipeline:
    """A pipeline whose collector takes aggregates, and says so before the first exchange."""
    metlo.config = {"aggregates": True, **more}
    way = pipeline()
    way.start()
    way.wait_for_rules()
    deadline = time.monotonic() + 10
    while not (way._watch is not None and way._watch.counts) and time.monotonic() < deadline:
        way._wake.set()
        time.sleep(0.01)
    return way


@pytest.fixture
def watch(settings: Callable[..., Settings], log: RateLimitedLog) -> Watch:
    """A watch of its own, which has told of all that it may tell of this second."""
    made = Watch(settings(), Guard(log), Aggregates(), Suspicion(True))
    made.configure(AgentConfig(aggregates=True))
    return made


def _routed(route: str = "/shop", **more: Any) -> Exchange:
    made = wsgi_exchange(**more)
    made.route = route
    return made


def test_all_are_counted_and_few_are_told(pipeline: Make, metlo: Metlo) -> None:
    """Each exchange is in one series; those that have a trace as well say that they are counted."""
    way = _configured(pipeline, metlo)
    for _ in range(MANY):
        way.put(_routed())
    assert way.flush(10)
    series = metlo.counted()
    assert sum(each["calls"] for each in series) == MANY
    assert {(each["host"], each["method"], each["route"], each["status"]) for each in series} == {
        ("shop.example", "GET", "/shop", 200)
    }
    told = metlo.traces()
    assert 0 < len(told) < MANY / 2
    assert all(trace["meta"]["counted"] for trace in told)
    stats = way.stats()
    assert (stats.captured, stats.sent, stats.counted) == (MANY, len(told), MANY - len(told))
    assert (dict(stats.dropped), stats.queue_items) == ({}, 0)


def test_an_original_backend_gets_traces_alone(pipeline: Make, metlo: Metlo) -> None:
    """Where agent-config does not ask for aggregates each exchange is a trace that says nothing of counts."""
    way = pipeline()
    for _ in range(MANY):
        way.put(_routed())
    assert way.flush(10)
    told = metlo.traces()
    assert len(told) == MANY
    assert not any("counted" in trace["meta"] for trace in told)
    assert metlo.counted() == []
    assert way.stats().counted == 0


def test_aggregates_are_sent_again(pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the collector cannot take for now is counted once, later; until then it waits."""
    monkeypatch.setattr("metlo_otel.exporter._SUMS_AGAIN", 0.01)
    way = _configured(pipeline, metlo)
    metlo.always = (503, {}, b"")
    for _ in range(MANY):
        way.put(_routed())
    assert metlo.tried.acquire(timeout=10)
    stats = way.stats()
    assert stats.captured == stats.queue_items == MANY
    metlo.always = (200, {}, b"OK")
    assert way.flush(10)
    assert sum(each["calls"] for each in metlo.counted()) == MANY
    stats = way.stats()
    assert stats.sent + stats.counted == MANY


def test_what_is_refused_or_never_sent_is_dropped(pipeline: Make, metlo: Metlo) -> None:
    """Nothing is lost silently: refused aggregates are dropped as that, those left at the end as undelivered."""
    way = _configured(pipeline, metlo)
    metlo.always = (400, {}, b"")
    for _ in range(MANY):
        way.put(_routed())
    assert way.flush(10)
    stats = way.stats()
    assert dict(stats.dropped) == {"refused": MANY}
    metlo.always = (503, {}, b"")
    for _ in range(MANY):
        way.put(_routed())
    way.shutdown(0)
    stats = way.stats()
    assert stats.captured == 2 * MANY == sum(stats.dropped.values())


def test_a_withheld_path_is_not_counted_either(pipeline: Make, metlo: Metlo) -> None:
    """Of hosts and paths that are never reported nothing leaves, not even a number."""
    blocked = [{"host": "shop", "paths": ["secret"]}]
    way = _configured(pipeline, metlo, pathBlockList=blocked, hostBlockList=["intern"])
    way.put(_routed("/secret", PATH_INFO="/secret"))
    way.put(_routed(HTTP_HOST="intern.example"))
    way.put(_routed())
    assert way.flush(10)
    assert [each["host"] for each in metlo.counted()] == ["shop.example"]
    assert dict(way.stats().dropped) == {"path_blocked": 1, "host_blocked": 1}


def test_a_suspicion_that_comes_to_nothing_is_let_go(pipeline: Make, metlo: Metlo) -> None:
    """The worker looks at what has a sign of an attack: an attack is told of, anything else is counted alone."""
    way = _configured(pipeline, metlo)
    for _ in range(MANY):
        way.put(_routed())
    assert way.flush(10)
    metlo.traces()
    assert way._watch is not None
    way._watch._left = way._watch._first_left = 0
    way.put(_routed(QUERY_STRING="q=union%20and%20select"))
    assert way.flush(10)
    stats = way.stats()
    assert stats.sent + stats.counted == MANY + 1


REASONS: dict[str, Callable[[Exchange], None]] = {
    "block": lambda exchange: setattr(exchange, "verdict", Verdict(True, "rule")),
    "would block": lambda exchange: setattr(exchange, "verdict", Verdict(rule="rule", would_block=True)),
    "limited": lambda exchange: setattr(exchange, "verdict", Verdict(True, "limit", rate_limited=True)),
    "attack": lambda exchange: setattr(exchange, "attacks", ("SQLI",)),
    "not inspected": lambda exchange: exchange.note("body_size"),
    "new status": lambda exchange: setattr(exchange, "status", 201),
    "new type": lambda exchange: setattr(exchange, "response_headers", [("Content-Type", "text/csv")]),
    "error": lambda exchange: setattr(exchange, "status", 500),
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_matters_is_told(watch: Watch, reason: str) -> None:
    """Once the sample of a second is used up ordinary exchanges are let go, and remarkable ones are not."""
    while watch.tells(_routed()):
        pass
    watch._left = watch._first_left = 0
    remarkable = _routed()
    REASONS[reason](remarkable)
    assert watch.tells(remarkable) is True
    assert watch.tells(_routed()) is False


def test_signs_of_attacks_are_told_wherever_they_stand(watch: Watch) -> None:
    """In path, query, headers and body, of both kinds of request."""
    while watch.tells(_routed()):
        pass
    watch._left = watch._first_left = watch._new_left = 0
    attack = "' or 1=1--"
    assert watch.tells(_routed(PATH_INFO=f"/{attack}"))
    assert watch.tells(_routed(QUERY_STRING="q=%27%20or%201=1--"))
    assert watch.tells(_routed(HTTP_X_ID=attack))
    assert watch.tells(_routed(body=b'{"q": "' + attack.encode() + b'"}'))
    assert watch.tells(_routed(body=b"\x1f\x8b", HTTP_CONTENT_ENCODING="gzip"))
    for scope in ({"query_string": b"q=%27%20or%201=1--"}, {"headers": [(b"x-id", attack.encode())]}):
        assert watch.tells(asgi_exchange(**scope))


def _quiet(pipeline: Make, metlo: Metlo) -> tuple[Pipeline, Watch]:
    """A pipeline that tells of nothing more of its sample, and its watch."""
    way = _configured(pipeline, metlo)
    watch = way._watch
    assert watch is not None
    vars(watch)["tick"] = lambda: None
    way.put(_routed())
    assert way.flush(10)
    watch._left = watch._first_left = watch._new_left = watch._fair = 0
    metlo.traces()
    return way, watch


@pytest.mark.parametrize("place", [0, 1, 15, 16, 20])
def test_what_is_searched_together_is_told_apart(pipeline: Make, metlo: Metlo, place: int) -> None:
    """Requests that follow each other closely are searched at once: the one attack is told of, others counted."""
    way, watch = _quiet(pipeline, metlo)
    told: list[Exchange] = []
    vars(way)["_line_up"] = told.append
    for number in range(21):
        way.put(_routed(QUERY_STRING="q=%27%20or%201=1--" if number == place else f"q={number}"))
        assert len(watch._unsearched) < 16
    assert way.flush(10)
    assert [each.request.query for each in told] == ["q=%27%20or%201=1--"]
    assert all(each.suspected for each in told)
    assert way.stats().captured == 21  # but for the attack, which was kept from the queue here


def test_stats_count_what_waits_to_be_searched(pipeline: Make, metlo: Metlo) -> None:
    """Whoever asks sees every request that has ended, and the worker looks by itself within a second or so."""
    way, watch = _quiet(pipeline, metlo)
    first = _routed()
    way.put(first)
    for _ in range(3):
        later = _routed()
        later.ended = first.ended
        way.put(later)
    assert len(watch._unsearched) == 3
    assert way.stats().captured == 5
    way.put(later)
    deadline = time.monotonic() + 10
    while watch._unsearched and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not watch._unsearched


def test_what_waits_alone_is_searched_at_once(pipeline: Make, metlo: Metlo) -> None:
    """With time between two requests none waits for others."""
    way, watch = _quiet(pipeline, metlo)
    for number in range(1, 4):
        apart = _routed()
        apart.ended += number * 20_000_000
        way.put(apart)
        assert not watch._unsearched


def test_where_signs_are_frequent_fewer_are_searched_together(pipeline: Make, metlo: Metlo) -> None:
    """So that little is searched twice; once there are none any more, the number grows again."""
    way, watch = _quiet(pipeline, metlo)
    for _ in range(60):
        way.put(_routed(QUERY_STRING="q=union%20and%20select"))
    assert watch._together <= 2
    for _ in range(300):
        way.put(_routed())
    assert watch._together == 16
    assert way.flush(10)
    assert len(metlo.traces()) == 0


def test_what_is_not_searched_at_the_end_is_counted(pipeline: Make, metlo: Metlo) -> None:
    """The end, a fork and a search that fails lose no request from the count."""
    way, watch = _quiet(pipeline, metlo)
    way.put(same := _routed())
    way.put(same)
    way.close()
    stats = way.stats()
    assert stats.captured == 3 == stats.sent + stats.counted + sum(stats.dropped.values())
    watch._unsearched.append(same)
    way.after_fork()
    assert not watch._unsearched
    assert way.stats().captured == 3


def test_a_search_that_fails_costs_no_count(pipeline: Make, metlo: Metlo) -> None:
    """What could not be searched is counted, and the failure is noted."""
    way, watch = _quiet(pipeline, metlo)

    def fail(_exchanges: object) -> bool:
        raise RuntimeError

    watch._among = fail
    for _ in range(16):
        way.put(_routed())
    assert way.flush(10)
    assert way.stats().counted == 16
    assert watch._guard.failures == 1


def test_full_capture_tells_all(watch: Watch) -> None:
    """Of endpoints whose content is wanted, or of all, everything is told."""
    endpoint = {"host": "shop.example", "method": "GET", "path": "/item/{id}", "fullTraceCaptureEnabled": True}
    watch.configure(parse_agent_config({"aggregates": True, "endpoints": [endpoint]}, lambda _: None))
    watch._left = watch._first_left = watch._new_left = 0
    assert all(watch.tells(_routed("/item/{id}", PATH_INFO="/item/7")) for _ in range(MANY))
    assert not watch.tells(_routed())
    watch.configure(AgentConfig(aggregates=True, full_capture=True))
    watch._left = watch._first_left = watch._new_left = 0
    assert all(watch.tells(_routed()) for _ in range(MANY))


def test_each_endpoint_has_its_share(watch: Watch) -> None:
    """A rare endpoint is sampled beside one that is asked for thousands of times; in each second anew."""
    for _ in range(2):
        watch.tick()
        told = Counter(
            route
            for number in range(2000)
            if watch.tells(_routed(route := "/rare" if number % 100 == 50 else "/often"))
        )
    assert told["/rare"] == 10
    assert told["/often"] <= 10


def test_keys_say_who_asked_and_how(settings: Callable[..., Settings], log: RateLimitedLog) -> None:
    """Routes as templates, guesses without one, nothing at all for what no route answers; types, kinds, sources."""
    aggregates = Aggregates()
    watch = Watch(settings(trusted_proxies=["10.0.0.1"]), Guard(log), aggregates, Suspicion(True))
    watch.configure(AgentConfig(aggregates=True))
    watch.tells(_routed("/items/<int:id>", HTTP_AUTHORIZATION="Basic eDp5", CONTENT_TYPE="Application/JSON; charset=x"))
    watch.tells(wsgi_exchange(PATH_INFO="/items/7/x", HTTP_AUTHORIZATION="Bearer abc", REMOTE_ADDR="8.8.8.8"))
    watch.tells(
        wsgi_exchange(PATH_INFO="/nowhere/7", status=404, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="8.8.4.4")
    )
    taken = aggregates.take()
    found = {(key.route, key.path, key.request_type, key.authentication, key.source) for key in taken.series}
    assert found == {
        ("/items/{id}", None, "application/json", "basic", "private"),
        (None, "/items/{param1}/x", None, "bearer", "public"),
        (None, None, None, "none", "public"),
    }
    assert set(taken.actors) == {("address", "127.0.0.1"), ("address", "8.8.8.8"), ("address", "8.8.4.4")}


@pytest.mark.parametrize("kind", ["path", "host", "method", "type"])
def test_inventions_do_not_grow(watch: Watch, kind: str) -> None:
    """Whatever clients invent, series and memories stay bounded, all is counted, genuine endpoints keep theirs."""
    genuine = [f"/genuine/{number}" for number in range(20)]
    for route in genuine:
        watch.tells(_routed(route))
    inventions: dict[str, Callable[[str], Exchange]] = {
        "path": lambda text: wsgi_exchange(PATH_INFO=f"/{text}", status=403),
        "host": lambda text: wsgi_exchange(HTTP_HOST=f"{text}.example", status=404),
        "method": lambda text: wsgi_exchange(REQUEST_METHOD=text),
        "type": lambda text: wsgi_exchange(CONTENT_TYPE=f"a/{text}", status=400),
    }
    for number in range(20_000):
        watch.tells(inventions[kind](f"x{number}y"))
    for route in genuine:
        watch.tells(_routed(route))
    taken = watch._aggregates.take()
    assert len(taken.series) <= 2_010
    assert {key.route: series.calls for key, series in taken.series.items() if key.route} == dict.fromkeys(genuine, 2)
    assert taken.calls == 40 + (0 if kind == "method" else 20_000)
    assert len(watch._series._by_raw) <= 4096
    assert len(watch._series._by_key) <= 4096


@pytest.mark.parametrize(
    ("address", "source"),
    [("8.8.8.8", "public"), ("10.0.0.1", "private"), ("fe80::1%eth0", "private"), ("", "unknown"), ("unix", "unknown")],
)
def test_sources(address: str, source: str) -> None:
    """Where an address is, as far as it tells."""
    assert source_of(address) == source
