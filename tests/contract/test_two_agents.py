"""Two agents around one app: a request is reported once to each destination, and is counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings

import metlo_otel.django
from metlo_otel.agent import Agent
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.settings import read_settings
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware
from metlo_otel.zerocode.flask import AtFirstRequest
from metlo_otel.zerocode.starlette import Unobtrusive
from tests.blocking.exchanges import condition, every, wire_limit
from tests.contract import wsgi_driver
from tests.contract.apps import asgi_app, django_site, fastapi_app, flask_app, starlette_app, wsgi_app
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL
from tests.contract.http import Call, get, post_json
from tests.contract.ways import WAYS, Options, Routed, Way

BY_NAME = {way.name: way for way in WAYS}
Pair = tuple[Any, list[Agent]]
Make = Callable[[Options, Options], Pair]

CALLS = (
    get("/users/7"),
    post_json("/json", {"a": 1}),
    get("/stream"),
    get("/large/9000"),
    get("/boom"),
    get("/status/404"),
    Call("HEAD", "/users/7"),
)


def around(way: Way) -> Make:
    """A way in, inside of the plain middleware for its interface."""

    def make(inner: Options, outer: Options) -> Pair:
        app, agent = way.build(inner)
        middleware: Any = (ASGIMiddleware if way.is_async else WSGIMiddleware)(app, **outer)
        return middleware, [middleware.agent, agent] if agent is not None else [middleware.agent]

    return make


def flask_twice(inner: Options, outer: Options) -> Pair:
    app = flask_app.make()
    made = [MetloFlask(app, **options) for options in (inner, outer)]
    return app, [extension.agent for extension in made if extension.agent is not None]


def flask_without_code(inner: Options, outer: Options) -> Pair:
    app = flask_app.make()
    zero = AtFirstRequest(app, app.wsgi_app, inner, Guard(RateLimitedLog(make_logger(None))))
    app.wsgi_app = zero  # type: ignore[method-assign]  # as zero code does
    middleware = WSGIMiddleware(app, **outer)
    assert middleware.agent is not None
    BY_NAME["flask"].serve(middleware, get("/status/204"))
    zero_agent = app.extensions["metlo_otel"].agent
    return middleware, [middleware.agent, zero_agent]


def starlette_twice(make_app: Callable[[], Any]) -> Make:
    def make(inner: Options, outer: Options) -> Pair:
        app = make_app()
        app.add_middleware(ASGIMiddleware, **inner)
        app.add_middleware(ASGIMiddleware, **outer)
        app.middleware_stack = found = app.build_middleware_stack()
        agents: list[Agent] = []
        while hasattr(found, "app"):
            if isinstance(found, ASGIMiddleware) and found.agent is not None:
                agents.append(found.agent)
            found = found.app
        return app, agents

    return make


def starlette_without_code(inner: Options, outer: Options) -> Pair:
    zero = Unobtrusive(starlette_app.make(), **inner)
    middleware = ASGIMiddleware(zero, **outer)
    return middleware, [agent for agent in (middleware.agent, zero.agent) if agent is not None]


def django_twice(handler: Callable[[], Any], views: str) -> Make:
    """METLO_CONFIG is one, so both are equal."""

    def make(inner: Options, outer: Options) -> Pair:
        ours = "metlo_otel.django.MetloDjango"
        middleware = [ours, "tests.contract.apps.django_site.CustomerMiddleware", ours]
        with override_settings(MIDDLEWARE=middleware, METLO_CONFIG=outer):
            app = handler()
        return Routed(app, f"tests.contract.apps.{views}"), [metlo_otel.django._AGENTS[read_settings(outer)]]

    return make


PAIRS: dict[str, tuple[Way, Make]] = {f"around {way.name}": (way, around(way)) for way in WAYS}
EQUAL = {
    "django-wsgi twice": (BY_NAME["django-wsgi"], django_twice(WSGIHandler, "django_sync")),
    "django-asgi twice": (BY_NAME["django-asgi"], django_twice(ASGIHandler, "django_sync")),
    "django-async twice": (BY_NAME["django-async"], django_twice(ASGIHandler, "django_async")),
    "starlette without code": (BY_NAME["starlette"], starlette_without_code),
}
PAIRS |= {
    "flask twice": (BY_NAME["flask"], flask_twice),
    "flask without code": (BY_NAME["flask"], flask_without_code),
    "starlette twice": (BY_NAME["starlette"], starlette_twice(starlette_app.make)),
    "fastapi twice": (BY_NAME["fastapi"], starlette_twice(fastapi_app.make)),
}
assert {wsgi_app, asgi_app, django_site}  # the apps that the ways in build


@contextmanager
def served(way: Way, make: Make, inner: Options, outer: Options) -> Iterator[tuple[Callable[[Call], Any], list[Agent]]]:
    """What serves a call as without agents, and the agents, which end with it."""
    SCRIPT.forget()
    app, agents = make(inner, outer)
    plain, _ = way.build(None)

    def serve(call: Call) -> Any:
        answer = way.serve(app, call)
        return answer, way.serve(plain, call)

    try:
        yield serve, agents
    finally:
        for agent in agents:
            agent.shutdown(1.0)
        for settings, agent in list(metlo_otel.django._AGENTS.items()):
            if agent in agents:
                del metlo_otel.django._AGENTS[settings]


def options(collector: MemoryCollector, **more: Any) -> Options:
    return {
        "METLO_HOST": collector.url,
        "API_KEY": collector.api_key,
        "MASKED_FIELDS": [],
        "CONFIG_CACHE": "off",
        **more,
    }


def paths(collector: MemoryCollector) -> list[tuple[str, str, int]]:
    return sorted(
        (trace["request"]["method"], trace["request"]["url"]["path"], trace["response"]["status"])
        for trace in collector.traces
    )


def flush(agents: list[Agent]) -> None:
    for agent in agents:
        assert agent.flush(10), agent.stats()


@pytest.mark.parametrize("name", [*PAIRS, *EQUAL])
def test_equal_agents_report_once(collector: MemoryCollector, name: str) -> None:
    """With equal settings there is one trace a request, and the answers are those of the app alone."""
    way, make = {**PAIRS, **EQUAL}[name]
    with served(way, make, options(collector), options(collector)) as (serve, agents):
        flush(agents)
        collector.clear()
        told = []
        for call in CALLS:
            answer, alone = serve(call)
            assert answer == alone
            told.append((call.method, call.path.decode(), answer.status))
        flush(agents)
        assert paths(collector) == sorted(told)
        told_of = max(agent.stats().captured for agent in agents)  # agents with equal settings share their counts
        assert told_of in (len(CALLS), len(CALLS) + 1)  # one to attach it


@pytest.mark.parametrize("name", PAIRS)
def test_agents_of_one_destination_report_once(collector: MemoryCollector, name: str) -> None:
    """Settings that differ in something else do not make two of a request."""
    way, make = PAIRS[name]
    inner = options(collector, ENVIRONMENT="inner", RULES=[{"name": "never", "block": True, "path": "/never"}])
    with served(way, make, inner, options(collector, ENVIRONMENT="outer")) as (serve, agents):
        flush(agents)
        collector.clear()
        for call in CALLS:
            answer, alone = serve(call)
            assert answer == alone
        flush(agents)
        assert len(collector.traces) == len(CALLS)
        assert {trace["meta"]["environment"] for trace in collector.traces} == {"outer"}


@pytest.mark.parametrize("name", PAIRS)
def test_agents_of_two_destinations_report_each(collector: MemoryCollector, name: str) -> None:
    """Each destination hears of each request once."""
    way, make = PAIRS[name]
    with (
        MemoryCollector(FULL) as other,
        served(way, make, options(other), options(collector)) as (serve, agents),
    ):
        flush(agents)
        collector.clear()
        other.clear()
        for call in CALLS:
            answer, alone = serve(call)
            assert answer == alone
        flush(agents)
        assert len(collector.traces) == len(CALLS)
        assert paths(collector) == paths(other)


@pytest.mark.parametrize("differs", [False, True])
@pytest.mark.parametrize("name", [*PAIRS, *EQUAL])
def test_a_limit_counts_once(collector: MemoryCollector, name: str, differs: bool) -> None:
    """Of a limit that both agents have, exactly the threshold passes, also where the answer's status is counted."""
    way, make = {**PAIRS, **EQUAL}[name]
    collector.config = {
        **FULL,
        "wafConfig": [
            wire_limit(3, every(condition("path", "eq", "/users/7")), uuid="asked", by=["ip"]),
            wire_limit(3, every(condition("status_code", "eq", 404)), uuid="answered", by=["ip"]),
        ],
    }
    inner = options(collector, ENVIRONMENT="inner") if differs and name in PAIRS else options(collector)
    with served(way, make, inner, options(collector)) as (serve, agents):
        serve(get("/ignore"))
        flush(agents)
        for agent in agents:
            agent._pipeline.start()
            assert agent.flush(10)
            agent._pipeline._exporter.refresh_if_due()
            assert agent.decides
        assert [serve(get("/users/7"))[0].status for _ in range(5)] == [200] * 3 + [429] * 2
        assert [serve(get("/status/404"))[0].status for _ in range(5)] == [404] * 3 + [429] * 2


@pytest.mark.parametrize("name", PAIRS)
def test_what_only_the_inner_one_knows_is_in_force(collector: MemoryCollector, name: str) -> None:
    """A rule that only the inner agent has rejects; the one trace says so."""
    way, make = PAIRS[name]
    inner = options(collector, RULES=[{"id": "closed", "name": "closed", "block": True, "path": "/users/7"}])
    with served(way, make, inner, options(collector)) as (serve, agents):
        flush(agents)
        collector.clear()
        assert serve(get("/users/7"))[0].status == 403
        flush(agents)
        (trace,) = collector.traces
        assert (trace["response"]["status"], trace["meta"]["ruleId"]) == (403, "closed")
        assert trace["processedTraceData"]["block"] is True


def test_a_request_within_a_request_is_one_of_its_own(collector: MemoryCollector) -> None:
    """An app that asks another app of the process, in the middle of a request, makes two requests."""
    way = BY_NAME["wsgi"]
    inside = WSGIMiddleware(wsgi_app.make(), **options(collector))

    def asking(environ: Any, start: Any) -> Any:
        way.serve(inside, get("/users/8"))
        return wsgi_app.make()(environ, start)

    outside = WSGIMiddleware(asking, **options(collector))
    assert inside.agent is not None
    assert outside.agent is not None
    way.serve(outside, get("/users/7"))
    flush([inside.agent, outside.agent])
    assert paths(collector) == [("GET", "/users/7", 200), ("GET", "/users/8", 200)]
    inside.agent.shutdown(1.0)
    outside.agent.shutdown(1.0)


def test_an_environ_may_be_used_again(collector: MemoryCollector) -> None:
    """What a server or a test serves a second time with the same environ is a second request."""
    middleware = WSGIMiddleware(wsgi_app.make(), **options(collector))
    assert middleware.agent is not None
    environ = wsgi_driver.make_environ(get("/users/7"))
    for _ in range(3):
        assert b"".join(middleware(environ, lambda *_: lambda _data: None)) == b'{"id": 7}'
    flush([middleware.agent])
    assert len(collector.traces) == 3
    middleware.agent.shutdown(1.0)
