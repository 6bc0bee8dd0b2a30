"""What an ASGI app can tell of `send` and `receive` is the same with the capture between it and the server."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import anyio
import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from fastapi import FastAPI
from starlette.applications import Starlette

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.core.settings import SettingsError
from metlo_otel.zerocode.starlette import Unobtrusive

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


def wrong(app: Any) -> ASGIMiddleware:
    """The agent with settings that are wrong, around an app."""
    return ASGIMiddleware(app, host="nonsense", api_key="k")


def test_wrong_settings_of_any_app_raise_where_it_is_made() -> None:
    """Also within a running loop, in which servers import their apps."""

    async def make() -> None:
        wrong(_silent)

    with pytest.raises(SettingsError):
        wrong(_silent)
    with pytest.raises(SettingsError):
        asyncio.run(make())


@pytest.mark.parametrize("make", [wrong, type("Own", (ASGIMiddleware,), {})])
@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_wrong_settings_fail_the_lifespan(framework: Any, make: Any) -> None:
    """Starlette and FastAPI fail their start with the whole text, and raise it, also for whatever else is asked."""
    app = framework()
    app.add_middleware(make, **({} if make is wrong else {"host": "nonsense", "api_key": "k"}))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(SettingsError):
        asyncio.run(app({"type": "lifespan", "app": app}, receive, send))
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert "settings are wrong:\n  metlo_host: is 'nonsense'" in failed["message"]
    for _ in range(2):
        with pytest.raises(SettingsError, match="metlo_host"):
            asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, receive, send))


def test_zero_code_never_ends_a_start() -> None:
    """What is put into an app that does not know of it raises for who put it there, who goes on."""

    class Building:
        async def __call__(self, scope: Any) -> None:
            Unobtrusive(_silent, host="nonsense", api_key="k")

    with pytest.raises(SettingsError):
        asyncio.run(Building()({"type": "lifespan"}))


async def _silent(scope: Any, receive: Any, send: Any) -> None:
    """An app that does nothing."""
