"""Websockets and lifespans are none of our business: they pass through untouched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.apps.script import SCRIPT
from tests.contract.asgi_driver import make_scope
from tests.contract.http import get
from tests.contract.shop import Shop, skip_unless

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
    scope = {**make_scope(get("/ws")), "type": "websocket", "scheme": "ws", "subprotocols": []}
    heard = asyncio.run(converse(talking.app, CONVERSATION, dict(scope)))
    assert heard == asyncio.run(converse(talking.plain, CONVERSATION, dict(scope)))
    texts = [message.get("text") for message in heard if message["type"] == "websocket.send"]
    assert texts == ["olleh", "eyb"]
    assert talking.sent() == []


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
