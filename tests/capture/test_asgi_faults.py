"""Whatever function of ours fails or gives rubbish while an ASGI request is served: app and client do not notice."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from metlo_otel.agent import Agent
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.capture import asgi, asgi_ahead, asgi_headers, asgi_types, routes, statuses
from metlo_otel.core.callbacks import Callbacks
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.request import ScopeRequest
from metlo_otel.export import ending
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.judge import Judge
from tests.capture.asgi_server import Client, around, piece, scope

# These hand on what the app and the server say to each other: what is ours in them is called from them, and fails here.
# The last are asked while the app is set up, or in the worker.
_HAND_ON = {
    "ASGICapture.__call__",
    "ASGICapture.serve",
    "ASGICapture._captured",
    "ASGICapture._handshake",
    "ASGICapture._rejecting",
    "ASGICapture._send",
    "ASGICapture._answer",
    "ASGICapture._receive",
    "ASGICapture._starting",
    "ASGICapture._ending",
    "Replaying.__call__",
    "_Result.result",
    "_OnAsyncio.wait",
    "_OnAsyncio._call",
    "as_coroutine_function",
    "_after",
    "_last",
    "_noting",
    "answering",
    "closing_websocket",
    "single_callable",
    "Judge.block_user",
    "Judge.unblock_user",
    "Pipeline._run",
}
# These make what is sent, asked or awaited: nothing else could.
_MAKE = ("note_headers", "ASGICapture._opened", "ASGICapture._open", "_reading", "readable")
_PLACES = (
    (asgi, asgi.ASGICapture, asgi_ahead, asgi_ahead.Replaying, asgi_ahead._OnAsyncio, asgi_ahead._Result),
    (asgi_headers, asgi_types, routes, statuses, Agent, Judge, Callbacks, Body, Exchange, ScopeRequest, Pipeline),
)


def ours() -> Iterator[tuple[Any, str, str]]:
    """All functions of the places: where, by which name, and what it is called in full."""
    for place in (place for places in _PLACES for place in places):
        for name, found in vars(place).items():
            plain = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            if not inspect.isfunction(plain) or name in ("__init__", "__del__"):
                continue
            if plain.__qualname__ not in _HAND_ON and plain.__module__.startswith("metlo_otel."):
                yield place, name, plain.__qualname__


def raising(*_arguments: Any, **_options: Any) -> Any:
    """Fails, as it must not."""
    raise ZeroDivisionError


def giving(*_arguments: Any, **_options: Any) -> Any:
    """Gives what nobody can use."""
    return "rubbish"


def in_a_coroutine(fault: Any) -> Any:
    """The same, where it is awaited."""

    async def failing(*_arguments: Any, **_options: Any) -> Any:
        return fault()

    return failing


_NEEDED = {(giving, full) for full in _MAKE}
STREAM: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 200, "headers": iter([(b"content-type", b"text/plain")])},
    {"type": "http.response.body", "body": b"one", "more_body": True},
    {"type": "http.response.body", "body": b"two"},
]
BODY = [piece(b"he"), piece(b"llo", more=False)]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says what it read, in pieces; raises, or talks over a websocket."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    if scope["path"] == "/raises":
        raise LookupError
    got = [await receive(), await receive()] if scope["method"] == "POST" else []
    await send({**STREAM[0], "headers": iter([(b"content-type", b"text/plain")])})
    for message in STREAM[1:]:
        await send(message)
    await send({"type": "http.response.debug", "got": got})


CALLS: tuple[dict[str, Any], ...] = (
    {**scope(), "messages": BODY},
    {**scope("GET", ()), "messages": []},
    {**scope("GET", ()), "path": "/raises", "messages": []},
    {**scope("GET", ()), "headers": iter([(b"host", b"h")]), "messages": []},
    {**scope("GET", ()), "type": "websocket", "messages": []},
    {"type": "lifespan", "messages": [{"type": "lifespan.startup"}]},
)


async def served(serving: Any) -> list[Any]:
    """What each call comes to: all messages, or what is raised."""
    heard: list[Any] = []
    for call in CALLS:
        given = dict(call)
        client = Client(given.pop("messages"))
        try:
            await asyncio.wait_for(serving(given, client.receive, client.send), 10)
        except LookupError as problem:
            heard.append(type(problem))
        heard += [{**message, "headers": list(message.get("headers") or ())} for message in client.sent]
    return heard


FAULTS = [
    (*found, fault) for found in ours() for fault in (raising, giving) if fault is raising or found[2] not in _MAKE
]


@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [(place, name, fault) for place, name, _, fault in FAULTS],
    ids=[f"{full} {fault.__name__}" for _, _, full, fault in FAULTS],
)
def test_no_function_of_ours_is_noticed(place: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages in both directions, and what the app raises, are those without us."""
    middleware = around(app, GET_USER=lambda _scope: "someone", SPAN_ATTRIBUTES="bodies")
    plain = asyncio.run(served(app))
    monkeypatch.setattr(ending, "AT_EXIT", 0.0)  # nobody takes anything there
    with monkeypatch.context() as patch:
        if inspect.iscoroutinefunction(vars(place)[name]):
            fault = in_a_coroutine(fault)
        broken: Any = property(fault) if isinstance(vars(place)[name], property) else fault
        if isinstance(vars(place)[name], staticmethod):
            broken = staticmethod(fault)
        patch.setattr(place, name, broken)
        with_us = asyncio.run(served(middleware))
    assert with_us == plain
    assert isinstance(middleware, ASGIMiddleware)
