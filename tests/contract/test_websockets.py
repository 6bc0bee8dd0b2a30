"""Websockets and lifespans pass through untouched, but for the handshakes that rules reject."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit
from tests.contract.apps.script import SCRIPT
from tests.contract.asgi_driver import make_scope
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import get
from tests.contract.shop import Shop, skip_unless
from tests.contract.ways import Way

CONVERSATION = [
    {"type": "websocket.connect"},
    {"type": "websocket.receive", "text": "hello"},
    {"type": "websocket.receive", "text": "bye"},
]


async def converse(app: Any, messages: list[dict[str, Any]], scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Send the app these messages; what it sent."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await asyncio.wait_for(app(scope, receive, send), 10)
    return sent


@pytest.fixture
def talking(shop: Shop) -> Shop:
    """Shops that talk over websockets."""
    skip_unless(shop.way.is_async and not shop.way.name.startswith("django"), "no websockets on this way in")
    return shop


def test_websocket(talking: Shop) -> None:
    """A conversation over a websocket is the one without us, and nothing is told of it."""
    scope = {**make_scope(get("/ws")), **HANDSHAKE}
    heard = asyncio.run(converse(talking.app, CONVERSATION, dict(scope)))
    assert heard == asyncio.run(converse(talking.plain, CONVERSATION, dict(scope)))
    texts = [message.get("text") for message in heard if message["type"] == "websocket.send"]
    assert texts == ["olleh", "eyb"]
    assert talking.sent() == []


HANDSHAKE = {"type": "websocket", "scheme": "ws", "subprotocols": []}
REJECTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "path": (wire(every(condition("path", "eq", "/ws"))), {}),
    "header": (wire(every(condition("request_header", "eq", "https://evil.example", "Origin"))), {}),
    "ip": (wire(every(condition("ip_address", "eq", "203.0.113.0/24"))), {}),
    "user": (wire(every(condition("user", "eq", "bob"))), {"GET_USER": lambda scope: "bob"}),
    "limit": (wire_limit(1, every(condition("path", "eq", "/ws"))), {"RATE_LIMIT_STORAGE": "memory"}),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_websocket(make_shop: MakeShop, collector: MemoryCollector, way: Way, name: str) -> None:
    """Rules on path, header, address and user, and limits, close a handshake before the app hears of it; it is told."""
    skip_unless(way.is_async and not way.name.startswith("django"), "no websockets on this way in")
    rule, options = REJECTED[name]
    collector.config = {**FULL, "wafConfig": [rule]}
    shop = in_force(make_shop(REJECT_RESPONSE=SCRIPT.asked.append, **options))
    scope = {**make_scope(get("/ws", ("Origin", "https://evil.example"))), **HANDSHAKE}
    if name == "limit":
        assert len(asyncio.run(converse(shop.app, CONVERSATION, dict(scope)))) > 1
    heard = asyncio.run(converse(shop.app, CONVERSATION[:1], dict(scope)))
    assert heard == [{"type": "websocket.close", "code": 1008, "reason": "forbidden"}]
    assert SCRIPT.asked == []  # its answer would have nowhere to go
    (trace,) = shop.sent()
    assert (trace["request"]["url"]["path"], trace["response"]["status"]) == ("/ws", 403)
    assert trace["processedTraceData"]["block"] is True


def test_websocket_that_rules_let_pass(make_shop: MakeShop, collector: MemoryCollector, way: Way) -> None:
    """Under rules that do not match a conversation is the one without us, and nothing is told of it."""
    skip_unless(way.is_async and not way.name.startswith("django"), "no websockets on this way in")
    collector.config = {**FULL, "wafConfig": [wire(every(condition("path", "eq", "/never")))]}
    shop = in_force(make_shop())
    scope = {**make_scope(get("/ws")), **HANDSHAKE}
    heard = asyncio.run(converse(shop.app, CONVERSATION, dict(scope)))
    assert heard == asyncio.run(converse(shop.plain, CONVERSATION, dict(scope)))
    assert shop.sent() == []


def test_lifespan(talking: Shop) -> None:
    """Startup and shutdown reach the app; what waits is sent before the shutdown is complete."""
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    steps = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    heard = asyncio.run(converse(talking.app, steps, dict(scope)))
    assert [message["type"] for message in heard] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    if talking.way.name == "asgi":
        assert SCRIPT.events == ["startup", "shutdown"]


def test_shutdown_sends_what_waits(talking: Shop) -> None:
    """An exchange that waits is at the collector once the lifespan has ended."""
    talking.collector.clear()
    talking.serve(get("/users/7"))
    steps = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    asyncio.run(converse(talking.app, steps, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}))
    assert [trace["request"]["url"]["path"] for trace in talking.collector.traces] == ["/users/7"]


def test_rules_are_there_for_the_first_request(make_shop: MakeShop, collector: MemoryCollector, way: Way) -> None:
    """The worker starts with the app and fetches the rules, before anybody has asked for anything."""
    skip_unless(way.is_async and not way.name.startswith("django"), "no lifespan on this way in")
    collector.config = {**FULL, "wafConfig": [wire(every(condition("path", "eq", "/users/7")))]}
    shop = make_shop()
    steps = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    asyncio.run(converse(shop.app, steps, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}))
    assert shop.serve(get("/users/7")).status == 403
