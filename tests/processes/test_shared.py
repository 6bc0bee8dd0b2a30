"""What is of the process is there once, and what is of an app ends with the app."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.agent import Agent, make_agent
from metlo_otel.export import pipeline as pipelines
from metlo_otel.reading import record as reading
from metlo_otel.testing import MemoryCollector
from tests.export.exchanges import wsgi_exchange


def agent(collector: MemoryCollector, **more: Any) -> Agent:
    made = make_agent({"metlo_host": collector.url, "api_key": collector.api_key, "config_cache": "off", **more})
    assert made is not None
    return made


def workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "metlo-otel"}


def within(seconds: float, true: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return true()


def serve(one: Agent, path: str) -> None:
    exchange = wsgi_exchange(PATH_INFO=path)
    exchange.on_close = one._closed
    exchange.close()


def test_sixty_apps_have_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps whose settings differ in their callbacks alone share the worker, which ends when the last one is gone."""
    monkeypatch.setattr(pipelines, "EVERY", 0.05)
    before = workers()
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        agents = [agent(collector, get_user=lambda _request: None) for _ in range(60)]
        for number, one in enumerate(agents):
            serve(one, f"/{number}")
        (worker,) = workers() - before  # earlier tests' workers may end meanwhile
        del one
        agents.clear()
        gc.collect()
        assert within(10, lambda: not worker.is_alive())
        assert len(collector.wait(60)) == 60  # the last of them left before the worker ended


def test_one_that_ends_leaves_the_others_alone() -> None:
    """shutdown() ends one agent: what it captures later is counted as too late, while others go on."""
    with MemoryCollector() as collector:
        first, second = agent(collector), agent(collector)
        first.shutdown(5)
        serve(first, "/late")
        serve(second, "/in-time")
        assert second.flush(5)
        assert (second.stats().sent, dict(second.stats().dropped)) == (1, {"closed": 1})
        second.shutdown(5)
        third = agent(collector)
        serve(third, "/new")
        assert third.flush(5)
        assert third.stats().sent == 1
        third.shutdown(5)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_worker_that_dies_is_followed_by_another(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What no guard holds back ends the worker: that is said, what it held is counted, and the next request is sent."""
    monkeypatch.setattr(pipelines, "_AGAIN", 0.0)
    with MemoryCollector() as collector:
        one = agent(collector)
        one.start()
        usual = reading.read_exchange

        def die(*_: Any) -> Any:
            monkeypatch.setattr(pipelines, "read_exchange", usual)
            raise kind

        monkeypatch.setattr(pipelines, "read_exchange", die)
        serve(one, "/held")
        one._pipeline.hurry()
        assert within(10, lambda: "worker_died" in one.stats().dropped)
        serve(one, "/later")
        assert within(10, lambda: one.flush(1))
        stats = one.stats()
        assert (stats.captured, stats.sent, dict(stats.dropped), stats.queue_items) == (2, 1, {"worker_died": 1}, 0)
        one.shutdown(5)
    said = [record for record in caplog.records if "the worker ended" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.ERROR]
    assert kind.__name__ in said[0].getMessage()


def test_the_first_request_waits_for_the_rules() -> None:
    """Until the first configuration is there, or cannot be had, and never longer than FIRST_RULES_WAIT."""
    with MemoryCollector() as collector:
        one = agent(collector, first_rules_wait=20)
        assert one.awaits_rules
        began = time.monotonic()
        one.wait_for_rules()
        assert time.monotonic() - began < 15
        assert not one.awaits_rules
        assert len([path for _, path, _ in collector.requests if path.endswith("agent-config")]) == 1
        one.shutdown(5)
        url = collector.url
    gone = make_agent({"metlo_host": url, "api_key": "k", "config_cache": "off", "first_rules_wait": 20})
    assert gone is not None
    began = time.monotonic()
    gone.wait_for_rules()
    assert time.monotonic() - began < 15  # nobody listens there: that is known at once
    assert not gone.awaits_rules
    gone.shutdown(0)


def test_no_lock_is_held_while_a_thread_starts_or_another_lock_is_taken(  # noqa: C901 - a lock is told in full
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two requests at once, one of them starting the worker, cannot wait for one another, whatever a thread is."""
    held = threading.local()
    wrong: list[str] = []

    class Watched:
        def __init__(self, name: str) -> None:
            self._lock, self._name = threading.Lock(), name

        def acquire(self, *how: Any) -> bool:
            if getattr(held, "names", None):
                wrong.append(f"{self._name} within {held.names}")
            taken = self._lock.acquire(*how)
            held.names = [*getattr(held, "names", []), self._name]
            return taken

        def release(self) -> None:
            held.names.pop()
            self._lock.release()

        def _is_owned(self) -> bool:
            return self._lock.locked()

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, *_: object) -> None:
            self.release()

    with MemoryCollector() as collector:
        one = agent(collector)
        way = one._pipeline
        way.counters._lock = Watched("counters")  # type: ignore[assignment]
        way._queue._lock = Watched("queue")  # type: ignore[assignment]
        way._queue._empty = threading.Condition(way._queue._lock)
        start = threading.Thread.start

        def starting(thread: threading.Thread) -> None:
            if getattr(held, "names", None):
                wrong.append(f"a thread starts within {held.names}")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", starting)
        for number in range(20):
            serve(one, f"/{number}")
        assert within(10, lambda: one.stats().sent == 20)
        one.stats()
        monkeypatch.undo()
        one._pipeline.close()
    assert wrong == []
