"""The status that is reported is the one that the client got, also where the app's answer is made further out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from metlo_otel.asgi import ASGIMiddleware
from tests.capture.asgi_server import MADE, Client, around, closed, piece, scope

LIMITS_BODIES = int(version("starlette").partition(".")[0]) >= 1


class UpstreamError(Exception):
    """What an API's client raises: its status is another's."""

    status_code = 429


async def raising(request: Request) -> PlainTextResponse:
    kind = request.query_params.get("kind")
    if kind == "upstream":
        raise UpstreamError
    if kind == "error":
        raise LookupError
    return PlainTextResponse(await request.body())


def ours() -> Any:
    return Middleware(Noted, host="http://127.0.0.1:9", api_key="k", config_cache="off", rate_limit_storage="memory")


class Noted(ASGIMiddleware):
    """Ours, which the test ends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        MADE.append(self)


def in_a_mount() -> Any:
    routes = [Route("/view", raising, methods=["GET", "POST"])]
    return Starlette(routes=[Mount("/of", app=Router(routes), middleware=[ours()])])


def whole() -> Any:
    return Starlette(routes=[Route("/of/view", raising, methods=["GET", "POST"])], middleware=[ours()])


def in_fastapi() -> Any:
    app = FastAPI(middleware=[ours()])
    app.add_route("/of/view", raising, methods=["GET", "POST"])
    return app


def status_of(app: Any, **more: Any) -> tuple[int, list[int]]:
    """What the client gets, and what is reported."""
    client = Client([piece(b"0123456789", more=False)])
    asked = scope("GET", ())
    asked.update({"root_path": "", "scheme": "http", "server": ("h", 80), "http_version": "1.1", **more})
    exchanges: list[Any] = []

    async def main() -> None:
        await app({"type": "lifespan", "app": app}, starting, Client(()).send)
        exchanges.append(closed(MADE[-1]))
        try:
            await app(asked, client.receive, client.send)
        except (LookupError, UpstreamError):
            assert client.sent

    async def starting() -> Any:
        return messages.pop(0)

    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    asyncio.run(main())
    return client.sent[0]["status"], [exchange.status for exchange in exchanges[0]]


CASES: dict[str, tuple[dict[str, Any], int]] = {
    "answered": ({"path": "/of/view"}, 200),
    "not found": ({"path": "/of/nothing"}, 404),
    "not allowed": ({"path": "/of/view", "method": "DELETE"}, 405),
    "an error": ({"path": "/of/view", "query_string": b"kind=error"}, 500),
    "another's status": ({"path": "/of/view", "query_string": b"kind=upstream"}, 500),
}


@pytest.mark.parametrize("make", [in_a_mount, whole, in_fastapi])
@pytest.mark.parametrize("name", CASES)
def test_answers_made_further_out(make: Callable[[], Any], name: str) -> None:
    """What a framework makes of an exception that passes us is what we report."""
    about, status = CASES[name]
    assert status_of(make(), **about) == (status, [status])


def limited(whole: bool) -> Any:
    async def view(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body() if whole else b"unread")

    return Starlette(routes=[Route("/", view, methods=["POST"])], middleware=[ours()], max_body_size=5)  # type: ignore[call-arg, unused-ignore]


@pytest.mark.skipif(not LIMITS_BODIES, reason="Starlette before 1.0 has no limit for bodies")
@pytest.mark.parametrize("headers", [((b"content-length", b"10"),), ((b"transfer-encoding", b"chunked"),)])
def test_limit_for_bodies(headers: Any) -> None:
    """A body over the limit is reported as 413, whether the app reads it or begins to answer without."""
    read = status_of(limited(True), method="POST", headers=list(headers))
    assert read == (413, [413])
    if headers[0][0] == b"content-length":
        assert status_of(limited(False), method="POST", headers=list(headers)) == (413, [413])


def test_nobody_further_out() -> None:
    """Where only a server is around us it answers 500, whatever the exception says."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise HTTPException(404)

    middleware = around(app)
    exchanges = closed(middleware)
    with pytest.raises(HTTPException):
        asyncio.run(middleware(scope("GET", ()), Client(()).receive, Client(()).send))
    assert [exchange.status for exchange in exchanges] == [500]


HANDSHAKES: dict[str, tuple[list[Any], int]] = {
    "accepted": ([{"type": "websocket.accept"}, {"type": "websocket.send", "text": "a"}], 101),
    "closed": ([{"type": "websocket.close"}], 403),
    "answered": ([{"type": "websocket.http.response.start", "status": 404, "headers": []}], 404),
    "accepted, then closed": ([{"type": "websocket.accept"}, {"type": "websocket.close"}], 101),
    "nothing": ([], 500),
    "raised": ([LookupError()], 500),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_handshakes(name: str) -> None:
    """What limits count of a websocket is what its handshake was answered."""
    messages, status = HANDSHAKES[name]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            if isinstance(message, Exception):
                raise message
            await send(message)

    middleware = around(app)
    exchanges = closed(middleware)
    client = Client(())

    async def main() -> None:
        try:
            await middleware({**scope("GET", ()), "type": "websocket"}, client.receive, client.send)
        except LookupError:
            assert name == "raised"

    asyncio.run(main())
    assert [exchange.status for exchange in exchanges] == [status]
    assert client.sent == [message for message in messages if isinstance(message, dict)]
