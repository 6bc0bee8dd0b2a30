"""The configuration in force: asked for again and again, never replaced by what is broken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from metlo_otel.blocking.remote import RemoteConfiguration
from metlo_otel.core.agent_config import AgentConfig, Served
from metlo_otel.export.client import Client
from tests.export.conftest import KEY
from tests.export.loopback import GARBAGE, HANG, Metlo


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def warnings() -> list[str]:
    """What was warned of."""
    return []


@pytest.fixture
def remote(metlo: Metlo, settings: Callable[..., Any], clock: Clock, warnings: list[str]) -> RemoteConfiguration:
    """A configuration from the loopback backend."""
    return RemoteConfiguration(Client(settings()).get_config, warnings.append, clock)


def test_it_is_fetched_every_minute_or_so(remote: RemoteConfiguration, metlo: Metlo, clock: Clock) -> None:
    """At once, then between 54 and 66 seconds later, with the key; the same document changes nothing."""
    assert remote.refresh_if_due()
    assert remote.current.full_capture
    first = remote.current
    clock.now = 53
    assert not remote.refresh_if_due()
    clock.now = 67
    assert not remote.refresh_if_due()
    assert len(metlo.gets) == 2
    assert metlo.gets[0]["Authorization"] == KEY
    assert remote.current is first


def test_the_etag_is_used(remote: RemoteConfiguration, metlo: Metlo, clock: Clock) -> None:
    """If-None-Match is asked with, 304 changes nothing, another ETag brings another configuration."""
    metlo.etag = '"1"'
    remote.refresh_if_due()
    clock.now += 70
    assert not remote.refresh_if_due()
    assert metlo.gets[1]["If-None-Match"] == '"1"'
    metlo.etag, metlo.config = '"2"', {}
    clock.now += 70
    assert remote.refresh_if_due()
    assert remote.current == AgentConfig()


@pytest.mark.parametrize(
    ("header", "soonest", "latest"),
    [
        ("private, max-age=2", 1.8, 2.2),
        ("max-age=0", 0.9, 1.1),
        ("no-cache, MAX-AGE=300", 54, 66),
        ("s-maxage=2", 54, 66),
        ("max-age=soon", 54, 66),
    ],
)
@pytest.mark.parametrize("status", [200, 304])
def test_the_backend_says_how_often(
    remote: RemoteConfiguration, metlo: Metlo, clock: Clock, header: str, soonest: float, latest: float, status: int
) -> None:
    """Cache-Control's max-age is when it is asked for again, between a second and a minute; without it a minute."""
    metlo.config_answer = (status, {"Cache-Control": header}, b"{}" if status == 200 else b"")
    remote.refresh_if_due()
    clock.now = soonest - 0.01
    remote.refresh_if_due()
    assert len(metlo.gets) == 1
    clock.now = latest + 0.01
    remote.refresh_if_due()
    assert len(metlo.gets) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"[]"),
        (200, {}, b"{"),
        (200, {}, b"\xff\x00"),
        (500, {}, b""),
        (401, {}, b""),
        (302, {"Location": "http://127.0.0.1:9/"}, b""),
        (200, {"Content-Encoding": "gzip"}, b"garbage"),
        (304, {}, b""),
        GARBAGE,
    ],
)
def test_what_is_broken_leaves_the_last_in_force(
    remote: RemoteConfiguration, metlo: Metlo, clock: Clock, warnings: list[str], answer: Any
) -> None:
    """One warning of one kind of failure, without the key; the configuration stays, and recovers."""
    remote.refresh_if_due()
    before = remote.current
    metlo.config_answer = answer
    for _ in range(3):
        clock.now += 200
        assert not remote.refresh_if_due()
        assert remote.current is before
    assert len(warnings) == (0 if answer[0] == 304 else 1)
    assert KEY not in str(warnings)
    metlo.config_answer, metlo.config = None, {}
    clock.now += 200
    assert remote.refresh_if_due()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}, b""), "status 401: the API key is not accepted; check API_KEY"),
        ((403, {}, b"no"), "status 403: the API key is not accepted; check API_KEY"),
        ((404, {}, b""), "status 404: there is none at this address; check METLO_HOST and BACKEND_PORT"),
        ((503, {}, b"<html>"), "status 503: the backend cannot answer now"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "status 302"),
        ((200, {}, b"<html>"), "the answer cannot be read: it is not JSON"),
        ((200, {"Content-Length": "99"}, b"{"), "no answer in time"),
        (HANG, "no answer in time"),
        (GARBAGE, "the answer cannot be read: it is not whole, or not HTTP"),
    ],
)
def test_why_there_is_none_is_said(
    remote: RemoteConfiguration, metlo: Metlo, warnings: list[str], answer: Any, said: str, monkeypatch: Any
) -> None:
    """The warning says what the backend answered, and what to look at, rather than that there was no connection."""
    monkeypatch.setattr("metlo_otel.export.client._CONFIG_READ_SECONDS", 0.2)
    metlo.config_answer = answer
    assert not remote.refresh_if_due()
    assert warnings == [f"agent-config could not be fetched ({said}); there is none in force yet"]


def test_nobody_listens(remote: RemoteConfiguration, metlo: Metlo, warnings: list[str]) -> None:
    """Where nobody listens that is what is said."""
    metlo.close()
    assert not remote.refresh_if_due()
    assert warnings == ["agent-config could not be fetched (no connection); there is none in force yet"]


def test_the_first_one_is_asked_for_sooner(metlo: Metlo, clock: Clock, warnings: list[str]) -> None:
    """Until there was one: after a second, then two, four, up to a minute."""
    asked: list[float] = []

    def fetch(_etag: str | None) -> Any:
        asked.append(clock.now)
        raise ConnectionError("no connection")

    remote = RemoteConfiguration(fetch, warnings.append, clock)
    for step in range(2000):
        clock.now = step / 10
        remote.refresh_if_due()
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert 1 <= gaps[0] <= 1.5
    assert 2 <= gaps[1] <= 2.8
    assert max(gaps) <= 79
    assert len(warnings) == 1


def test_a_change_is_told_before_it_is_in_force(metlo: Metlo, settings: Any, clock: Clock) -> None:
    """Who compiles rules has compiled them when others see the configuration; when that fails the last one stays."""
    seen: list[Any] = []
    remote = RemoteConfiguration(Client(settings()).get_config, pytest.fail, clock, seen.append)
    remote.refresh_if_due()
    assert seen == [remote.current]

    def fail(_config: AgentConfig) -> None:
        raise RuntimeError

    failing = RemoteConfiguration(Client(settings()).get_config, pytest.fail, clock, fail)
    with pytest.raises(RuntimeError):
        failing.refresh_if_due()
    assert failing.current == AgentConfig()
    assert not failing.refresh_if_due()


class Backend:
    """Serves what it is given, in turn, and notes the ETags that it is asked with."""

    def __init__(self, *served: Served | Exception) -> None:
        self.served = list(served)
        self.asked: list[str | None] = []

    def __call__(self, etag: str | None) -> Served:
        self.asked.append(etag)
        answer = self.served.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked_with(backend: Backend, clock: Clock, warnings: list[str], on_change: Any = None) -> list[str | None]:
    """The ETags of as many requests as the backend has answers for."""
    remote = RemoteConfiguration(backend, warnings.append, clock, on_change)
    while backend.served:
        with contextlib.suppress(ZeroDivisionError):
            remote.refresh_if_due()
        clock.now += 100
    return backend.asked


FULL, BROKEN = {"globalFullTraceCapture": True}, ["no", "document"]


def test_an_etag_is_kept_only_of_what_is_in_force(clock: Clock, warnings: list[str]) -> None:
    """After a broken document the last whole one's ETag is asked with: else 304 would keep its successor away."""
    backend = Backend(
        Served(FULL, '"whole"'), Served(BROKEN, '"broken"'), ConnectionError("gone"), Served({}, None), Served({}, None)
    )
    assert asked_with(backend, clock, warnings) == [None, '"whole"', '"whole"', '"whole"', None]


def test_an_etag_of_the_first_broken_document_is_not_kept(clock: Clock, warnings: list[str]) -> None:
    """Where nothing is in force yet, nothing is asked with."""
    backend = Backend(Served(BROKEN, '"broken"'), Served(FULL, '"whole"'), Served(FULL, '"again"'), Served(FULL, None))
    assert asked_with(backend, clock, warnings) == [None, None, '"whole"', '"again"']


def test_an_etag_is_not_kept_where_putting_it_in_force_failed(clock: Clock, warnings: list[str]) -> None:
    """What the rules' compiler could not take is fetched again, whole."""

    def fail_once(_config: AgentConfig) -> None:
        if not failed:
            failed.append(True)
            raise ZeroDivisionError

    failed: list[bool] = []
    backend = Backend(Served(FULL, '"1"'), Served(FULL, '"1"'), Served(FULL, '"1"'))
    assert asked_with(backend, clock, warnings, fail_once) == [None, None, '"1"']
