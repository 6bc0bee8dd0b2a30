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
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.capture.asgi_outermost import Outermost
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


def ours(**more: Any) -> Any:
    options = {"api_key": "k", "config_cache": "off", "rate_limit_storage": "memory", **more}
    return Middleware(Noted, host="http://127.0.0.1:9", **options)


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


async def unavailable(_request: Request, _problem: Exception) -> PlainTextResponse:
    return PlainTextResponse("later", 503, {"retry-after": "9"})


class Catching:
    """A middleware of the app's that answers for what is raised further in."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except LookupError:
            await PlainTextResponse("teapot", 418)(scope, receive, send)


async def catching(request: Request, call_next: Any) -> Any:
    try:
        return await call_next(request)
    except LookupError:
        return PlainTextResponse("teapot", 418)


def handled(*middleware: Any, get_user: Any = None, **more: Any) -> Any:
    routes = [Route("/of/view", raising, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=[*middleware, ours(get_user=get_user)], **more)


ANSWERS: dict[str, tuple[Callable[[], Any], int]] = {
    "handler": (lambda: handled(exception_handlers={Exception: unavailable}), 503),
    "handler of 500": (lambda: handled(exception_handlers={500: unavailable}), 503),
    "handler, in FastAPI": (lambda: fastapi_with_handler(), 503),
    "middleware": (lambda: handled(Middleware(Catching)), 418),
    "function": (lambda: handled(Middleware(BaseHTTPMiddleware, dispatch=catching)), 418),
    "middleware, handler": (lambda: handled(Middleware(Catching), exception_handlers={Exception: unavailable}), 418),
    "debug": (lambda: handled(debug=True), 500),
    "nobody": (handled, 500),
    "two agents": (lambda: handled(ours(), exception_handlers={Exception: unavailable}), 503),
}


def fastapi_with_handler() -> Any:
    app = FastAPI(middleware=[ours()], exception_handlers={Exception: unavailable})
    app.add_route("/of/view", raising, methods=["GET", "POST"])
    return app


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_the_apps_own_making(name: str) -> None:
    """What the app itself makes of an exception that has passed us is seen where it passes outermost."""
    make, status = ANSWERS[name]
    assert status_of(make(), **CASES["an error"][0]) == (status, [status])
    assert status_of(make(), **CASES["answered"][0]) == (200, [200])


def test_answer_outermost_is_noted_whole() -> None:
    """Its headers and body too, and the user is asked for once."""
    asked: list[Any] = []

    def get_user(scope: Any) -> str:
        asked.append(scope)
        return "ann"

    app = handled(exception_handlers={Exception: unavailable}, get_user=get_user)
    exchanges: list[Any] = []
    client = Client([piece(b"", more=False)])

    async def main() -> None:
        await app({"type": "lifespan", "app": app}, Client([{"type": "lifespan.shutdown"}]).receive, Client(()).send)
        exchanges.append(closed(MADE[-1]))
        with pytest.raises(LookupError):
            await app(scope("GET", (), **CASES["an error"][0]), client.receive, client.send)

    asyncio.run(main())
    (exchange,) = exchanges[0]
    assert (exchange.response_body.content(), exchange.user, len(asked)) == (b"later", "ann", 1)
    assert (b"retry-after", b"9") in exchange.response_headers
    assert exchange.route == "/of/view"


def test_stack_is_left_alone_where_nobody_answers() -> None:
    """Starlette's own 500 needs no looking."""
    for app, looked_at in ((handled(), False), (in_fastapi(), False), (handled(Middleware(Catching)), True)):
        assert status_of(app, **CASES["an error"][0])[1]
        assert isinstance(app.middleware_stack, Outermost) is looked_at


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
