"""Nothing that befalls us befalls the app: its answers stay the same, counters move, and the log says it once."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.agent import Agent
from metlo_otel.testing import MemoryCollector
from tests.contract.conftest import FULL, MakeShop
from tests.contract.http import Call, get, post, post_json
from tests.contract.shop import Shop

CALLS = (
    post_json("/json", {"a": 1}),
    get("/stream"),
    post("/raw", b"0123456789"),
    get("/boom"),
    get("/named"),
    get("/large/9000"),
    Call("HEAD", "/users/7"),
)


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we logged."""
    return [record.getMessage() for record in caplog.records if record.name == "metlo_otel"]


def serve_all(shop: Shop) -> None:
    """Every answer is the one without us, and comes at once."""
    for call in CALLS:
        shop.same(call)


class Hanging(MemoryCollector):
    """Takes a batch and never answers, until it is let go."""

    def __init__(self) -> None:
        super().__init__(dict(FULL))
        self.asked = threading.Event()
        self.release = threading.Event()

    def receive(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if method == "POST":
            self.asked.set()
            self.release.wait(30)
        return super().receive(method, path, headers, body)


def test_collector_that_hangs(make_shop: MakeShop) -> None:
    """While the collector takes its time the app's answers come as ever."""
    with Hanging() as collector:
        shop = make_shop(to=collector)
        shop.same(get("/users/7"))
        assert shop.agent.flush(0.01) is False
        assert collector.asked.wait(10)
        serve_all(shop)
        assert shop.agent.stats().captured == 1 + len(CALLS)
        assert shop.agent.stats().queue_items == 1 + len(CALLS)  # what is on its way waits, too
        collector.release.set()
        shop.sent()
        assert shop.agent.stats().sent == 1 + len(CALLS)


@pytest.mark.parametrize(("status", "reason"), [(401, "refused"), (400, "refused"), (413, "too_large")])
def test_collector_that_refuses(
    make_shop: MakeShop, collector: MemoryCollector, status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the collector refuses is dropped, counted, and said in one line."""
    collector.status = status
    shop = make_shop()
    for _ in range(2):
        serve_all(shop)
        assert shop.agent.flush(10)
    stats = shop.agent.stats()
    assert (stats.captured, stats.sent, dict(stats.dropped)) == (2 * len(CALLS), 0, {reason: 2 * len(CALLS)})
    assert len(ours(caplog)) == 1
    assert str(status) in ours(caplog)[0]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_collector_in_trouble(
    make_shop: MakeShop, collector: MemoryCollector, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be taken now is kept and arrives later; the log says so once, and once that it is over."""
    collector.status = status
    shop = make_shop()
    serve_all(shop)
    assert any(shop.agent.flush(0.2) is False and ours(caplog) for _ in range(50))  # tried once at least
    serve_all(shop)
    collector.status = 200
    assert len(shop.sent()) == 2 * len(CALLS)
    stats = shop.agent.stats()
    assert (stats.sent, dict(stats.dropped)) == (2 * len(CALLS), {})
    assert stats.retried >= 1
    assert len([line for line in ours(caplog) if "takes no traces" in line]) == 1


def garbage(connection: socket.socket) -> None:
    """Answers in no protocol at all."""
    connection.recv(65536)
    connection.sendall(b"\x00\xff garbage \r\n\r\n")


def silence(connection: socket.socket) -> None:
    """Hangs up without a word."""


@pytest.mark.parametrize("manners", [garbage, silence])
def test_collector_that_is_none(
    make_shop: MakeShop, manners: Callable[[socket.socket], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Something else on the collector's port disturbs nobody."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_answer, args=(listener, manners), daemon=True)
    thread.start()
    shop = make_shop(METLO_HOST=f"http://127.0.0.1:{listener.getsockname()[1]}")
    serve_all(shop)
    assert shop.agent.flush(0.2) is False
    assert shop.agent.stats().sent == 0
    shop.agent.shutdown(0.1)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    assert "not taken by the collector before the agent's end" in ours(caplog)[-1]
    assert 2 <= len(ours(caplog)) <= 3  # the collector, the agent-config, what was lost
    assert dict(shop.agent.stats().dropped).get("failed") is None


def _answer(listener: socket.socket, manners: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                manners(connection)
            except OSError:
                continue


def test_collector_that_is_down(make_shop: MakeShop, caplog: pytest.LogCaptureFixture) -> None:
    """A collector that is not there at start is waited for, quietly."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shop = make_shop(METLO_HOST=f"http://127.0.0.1:{port}")
    serve_all(shop)
    assert shop.agent.flush(0.2) is False
    stats = shop.agent.stats()
    assert (stats.captured, stats.sent, dict(stats.dropped)) == (len(CALLS), 0, {})
    assert len([line for line in ours(caplog) if "takes no traces" in line]) <= 1
    shop.agent.shutdown(0.1)


def break_open(agent: Agent, fail: Callable[..., Any]) -> None:
    agent.open = fail  # type: ignore[method-assign]  # the fault under test


def break_join(agent: Agent, fail: Callable[..., Any]) -> None:
    agent.join = fail


def break_streaming(agent: Agent, fail: Callable[..., Any]) -> None:
    agent.streaming = fail  # type: ignore[method-assign]  # the fault under test


def break_asking(agent: Agent, fail: Callable[..., Any]) -> None:
    agent.callbacks._ask = fail  # type: ignore[method-assign]  # the fault under test


def break_queue(agent: Agent, fail: Callable[..., Any]) -> None:
    agent._pipeline._queue.put = fail  # type: ignore[method-assign]  # the fault under test


def break_reading(agent: Agent, fail: Callable[..., Any]) -> None:
    agent._pipeline._exporter.span = fail  # type: ignore[method-assign]  # the fault under test


def break_delivery(agent: Agent, fail: Callable[..., Any]) -> None:
    agent._pipeline._exporter.deliver = fail  # type: ignore[method-assign]  # the fault under test


BREAKS = (break_open, break_join, break_streaming, break_asking, break_queue, break_reading, break_delivery)


@pytest.mark.parametrize("stage", BREAKS, ids=lambda stage: stage.__name__)
def test_stage_that_fails(
    make_shop: MakeShop, stage: Callable[[Agent, Callable[..., Any]], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever of our stages fails, clients get what they get without us, and the log names the place, not content."""

    def fail(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("content-of-the-request")

    shop = make_shop(GET_USER=lambda _request: None)
    stage(shop.agent, fail)
    serve_all(shop)
    shop.agent.flush(1.0)
    assert 1 <= len(ours(caplog)) <= 4
    assert all("ZeroDivisionError" in line for line in ours(caplog))
    assert "content-of-the-request" not in "".join(ours(caplog))
    assert shop.agent.guard.failures + shop.agent._pipeline._exporter.guard.failures >= 1


def test_the_apps_random_numbers_are_its_own(make_shop: MakeShop) -> None:
    """A seeded random of the app gives the same numbers with us at work beside it."""
    shop = make_shop()
    random.seed(4711)
    shop.way.serve(shop.plain, get("/users/7"))
    expected = random.getstate()
    random.seed(4711)
    shop.serve(get("/users/7"))
    shop.sent()
    assert random.getstate() == expected
