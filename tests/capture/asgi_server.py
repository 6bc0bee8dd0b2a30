"""A server's side of one ASGI call, whose messages the test gives, in asyncio and in Trio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio

from metlo_otel.asgi import ASGIMiddleware

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
RULE = [{"name": "never", "block": True, "body": {"contains": "the attack"}}]


def in_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run it in asyncio's loop, in which nothing may be left behind or be complained of."""
    complaints: list[Any] = []

    async def bounded() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, about: complaints.append(about))
        result = await asyncio.wait_for(main(), 20)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(bounded())
    assert complaints == []
    return result


def in_trio(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run it in Trio's."""

    async def bounded() -> Any:
        with trio.fail_after(20):
            return await main()

    return trio.run(bounded)


LOOPS: dict[str, Run] = {"asyncio": in_asyncio, "trio": in_trio}


def scope(method: str = "POST", headers: Any = ((b"transfer-encoding", b"chunked"),), **more: Any) -> dict[str, Any]:
    """A request's scope, by default of one with a body of unknown length."""
    headers = list(headers) if type(headers) is tuple else headers
    return {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers, **more}


def piece(body: Any, more: bool = True) -> dict[str, Any]:
    """A message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


class Client:
    """Gives these messages, one a call; an exception among them is raised, and at an event is waited."""

    def __init__(self, messages: Iterable[Any]) -> None:
        self._messages = list(messages)
        self.asked = 0
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        self.asked += 1
        while self._messages:
            message = self._messages[0]
            if hasattr(message, "wait") and not message.is_set():
                await message.wait()
                continue
            del self._messages[0]
            if hasattr(message, "wait"):
                continue
            if isinstance(message, BaseException):
                raise message
            return message
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


MADE: list[ASGIMiddleware] = []


def around(app: Any, **options: Any) -> ASGIMiddleware:
    """The agent around an app, its collector away; `ended` is the fixture that ends it."""
    settings = {"CONFIG_CACHE": "off", "RATE_LIMIT_STORAGE": "memory", "RULES": RULE, **options}
    MADE.append(ASGIMiddleware(app, "http://127.0.0.1:9", "k", **settings))
    return MADE[-1]


def end_all() -> None:
    """End the agents that were made."""
    while MADE:
        agent = MADE.pop().agent
        assert agent is not None
        agent.shutdown(0)


def closed(middleware: ASGIMiddleware) -> list[Any]:
    """What this agent's exchanges are when they close, from now on."""
    assert middleware.agent is not None
    found: list[Any] = []
    middleware.agent._pipeline.put = found.append  # type: ignore[method-assign, assignment]  # where exchanges end
    return found
