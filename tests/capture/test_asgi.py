"""What an ASGI app can tell of `send` and `receive` is the same with the capture between it and the server."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import anyio
from asgiref.sync import async_to_sync, iscoroutinefunction

from metlo_otel.asgi import ASGIMiddleware

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"hello"}


def serve(app: Any) -> list[Any]:
    """What the server gets to send."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    middleware = ASGIMiddleware(app, "http://127.0.0.1:9", "k", CONFIG_CACHE="off")
    asyncio.run(middleware({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    assert middleware.agent is not None
    middleware.agent.shutdown(0)
    return sent


def test_are_coroutine_functions() -> None:
    """Who asks is told what it would be told of the server's own; async_to_sync() warns where it is none."""
    found: list[bool] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        found.extend([iscoroutinefunction(receive), iscoroutinefunction(send)])
        if sys.version_info >= (3, 12):
            found.append(inspect.iscoroutinefunction(send))
        answer = async_to_sync(send)  # asked of a thread, as by the sync consumers of Channels
        await asyncio.get_running_loop().run_in_executor(None, lambda: [answer(START), answer(BODY)])

    assert serve(app) == [START, BODY]
    assert all(found)


def test_send_in_tasks() -> None:
    """A task group takes only what gives coroutines, for every message of the answer."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in (START, {**BODY, "more_body": True}, BODY):
            async with anyio.create_task_group() as group:
                group.start_soon(send, message)

    assert serve(app) == [START, {**BODY, "more_body": True}, BODY]
