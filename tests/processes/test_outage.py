"""After an outage traces go out again within five seconds of the collector's return, and little is said of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from metlo_otel.agent import Agent, make_agent
from metlo_otel.export import delivery
from tests.export.exchanges import wsgi_exchange
from tests.export.loopback import HANG, OK, Metlo

BOUND = 5.0  # seconds from the collector's return to the first trace


@pytest.fixture
def metlo() -> Iterator[Metlo]:
    """A collector that listens."""
    server = Metlo()
    yield server
    server.close()


def agent(metlo: Metlo) -> Agent:
    made = make_agent({"metlo_host": metlo.url, "api_key": "key", "config_cache": "off"})
    assert made is not None
    return made


def serve(one: Agent) -> None:
    exchange = wsgi_exchange()
    exchange.on_close = one._closed
    exchange.close()


def fail(metlo: Metlo, answer: Any) -> None:
    """All that is asked from now on, of collector and backend, has this answer."""
    metlo.always, metlo.config_answer = answer, None if answer is OK else answer


@pytest.mark.parametrize("answer", [HANG, (503, {}, b"")], ids=["hung", "503"])
@pytest.mark.parametrize("seconds", [0.1, 6.5], ids=["short", "long"])
def test_sending_resumes_soon(metlo: Metlo, answer: Any, seconds: float) -> None:
    """Whatever the worker was at when the collector came back: the first request that hung, a probe, or a pause."""
    one = agent(metlo)
    serve(one)
    assert one.flush(10)
    fail(metlo, answer)
    metlo.tried = threading.Semaphore(0)
    serve(one)
    assert metlo.tried.acquire(timeout=10)
    threading.Event().wait(seconds)  # the outage's length
    metlo.traces()
    fail(metlo, OK)
    began = time.monotonic()
    assert metlo.next_batch()
    assert time.monotonic() - began < BOUND
    one.shutdown(0)


def test_a_slow_collector_is_given_longer(metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers probes, but batches later than is awaited at first, gets them all the same."""
    monkeypatch.setattr("metlo_otel.export.client.READ_SECONDS", 0.1)
    monkeypatch.setattr(delivery, "_FIRST_WAIT", 0.01)
    one = agent(metlo)
    metlo.slowness = 0.3
    serve(one)
    assert one.flush(20)
    assert (one.stats().sent, one.stats().retried) == (1, 2)
    one.shutdown(0)


def test_a_short_outage_is_not_told(metlo: Metlo, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A collector's restart is not told; what lasts for ten seconds is, once, and so is that it is over."""
    monkeypatch.setattr(delivery, "_FIRST_WAIT", 0.01)
    caplog.set_level("DEBUG")
    one = agent(metlo)
    told = {}
    for told_after in (60.0, 0.0):
        monkeypatch.setattr(delivery, "_TOLD_AFTER", told_after)
        for answer in (OK, *[(503, {}, b"")] * 5):
            metlo.answers.put(answer)
        for _ in range(2):
            serve(one)
            assert one.flush(10)
        texts = [record.getMessage() for record in caplog.records]
        told[told_after] = [text for text in texts if "takes no traces" in text or "takes traces again" in text]
    one.shutdown(0)
    assert told[60.0] == []
    assert ["status 503" in told[0.0][0], "again" in told[0.0][1], len(told[0.0])] == [True, True, 2]
