"""Any ASGI app, captured: receive and send are teed, nothing is read or held back."""

from __future__ import annotations

import asyncio
import inspect
import sys
from asyncio import CancelledError
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from metlo_otel.capture.gate import Gate
from metlo_otel.capture.routes import starlette_route
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import CLIENT_CLOSED_REQUEST, Exchange
from metlo_otel.core.nesting import carried, carry
from metlo_otel.core.rejection import Rejection
from metlo_otel.core.request import ScopeRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
AtResponse = Callable[[Exchange, Scope], Awaitable[None] | None]
Ahead = Callable[[int], Awaitable[None]]
Decide = Callable[[Exchange, Scope, Ahead], Awaitable[ASGIApp | None]]

_FORBIDDEN = 403  # what servers answer to a handshake that is closed before it was accepted
_SWITCHING_PROTOCOLS = 101
_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
_FLUSH_AT_SHUTDOWN = 3.0  # seconds

# Apps may ask whether `send` is a coroutine function, as asgiref's async_to_sync() does, and warns where it is none.
# Before Python 3.12 there is no mark that a partial takes over from its function: each one has asyncio's own.
_COROUTINE_FUNCTION = getattr(asyncio.coroutines, "_is_coroutine", True) if sys.version_info < (3, 12) else None


class ASGICapture:
    """Wraps `app`; `at_response` is called (and awaited if need be) once a request, before the response starts.

    `decide` is asked before the app, for websockets too: what it returns is run in the app's place.
    """

    def __init__(self, app: ASGIApp, gate: Gate, at_response: AtResponse, decide: Decide) -> None:
        self._app = app
        self._gate = gate
        self._at_response = at_response
        self._decide = decide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """As the call itself; a coroutine fewer for who awaits it in one of their own."""
        kind = scope["type"]
        if kind == "http":
            exchange = self._gate.guard.run(self._open, scope)
            if exchange is not None:
                return self._captured(exchange, scope, receive, send)
        elif kind == "websocket" and self._gate.decides:
            return self._handshake(scope, receive, send)
        elif kind == "lifespan":
            send = self._flushing(send)
        return self._app(scope, receive, send)

    def _open(self, scope: Scope) -> Exchange | None:
        exchange = self._gate.open(ScopeRequest(scope), carried(scope))
        if exchange is not None:
            self._gate.join(exchange)
        carry(scope, exchange)
        return exchange

    async def _captured(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        token = current_exchange.set(exchange)
        receiving: Receive = partial(self._receive, exchange, receive)
        try:
            app = self._app
            if self._gate.decides:
                replaying = Replaying(receiving)
                app = await self._gate.guard.wait(self._decide(exchange, scope, replaying.ahead)) or app
                receiving = replaying if replaying.messages else receiving
            sending: Send = partial(self._send, exchange, scope, send)
            if _COROUTINE_FUNCTION is not None:
                sending._is_coroutine = _COROUTINE_FUNCTION  # type: ignore[attr-defined]  # a partial takes any attribute
            await app(scope, receiving, sending)
        finally:
            current_exchange.reset(token)
            if not exchange.status:
                waiting = self._gate.guard.run(self._unanswered, exchange, scope)
                if waiting is not None:
                    await waiting
            exchange.close()

    async def _handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = await self._refusing(scope) or self._app
        await app(scope, receive, send)

    async def _refusing(self, scope: Scope) -> ASGIApp | None:
        """What rejects a websocket; one that is, or would be, is reported, others are not looked at further."""
        exchange = self._gate.guard.run(self._open, scope)
        if exchange is None:
            return None
        refusing = await self._gate.guard.wait(self._decide(exchange, scope, _nothing_ahead))
        exchange.status = _SWITCHING_PROTOCOLS if refusing is None else _FORBIDDEN
        exchange.captured = exchange.captured and (refusing is not None or exchange.verdict.would_block)
        exchange.close()
        return refusing

    def _unanswered(self, exchange: Exchange, scope: Scope) -> Awaitable[None] | None:
        """The app raised or said nothing: the server answers for it, if anybody is still there."""
        gone = isinstance(sys.exc_info()[1], CancelledError)
        exchange.status = CLIENT_CLOSED_REQUEST if gone else 500
        exchange.route = starlette_route(scope)
        return None if gone else self._at_response(exchange, scope)

    async def _receive(self, exchange: Exchange, receive: Receive) -> Message:
        message = await receive()
        body = message.get("body")
        if body:
            exchange.request_body.add(body)
        elif message["type"] == "http.disconnect" and not exchange.status:
            exchange.status = CLIENT_CLOSED_REQUEST
        return message

    def _send(self, exchange: Exchange, scope: Scope, send: Send, message: Message) -> Awaitable[None]:
        """What is noted is noted before the server's own `send` is called, whose coroutine this returns as a rule."""
        kind = message["type"]
        if kind == "http.response.start":
            waiting = self._gate.guard.run(self._started, exchange, scope, message)
            return send(message) if waiting is None else _after(waiting, send, message)
        if kind != "http.response.body":
            return send(message)
        body = message.get("body")
        if body:
            exchange.response_body.add(body)
        if message.get("more_body"):
            self._gate.guard.run(self._gate.streaming, exchange)
            return send(message)
        if exchange.live is not None:
            self._gate.guard.run(self._gate.enrich, exchange)  # the span may end as soon as this is sent
        return _last(exchange, send, message)

    if sys.version_info >= (3, 12):
        _send = inspect.markcoroutinefunction(_send)

    def _started(self, exchange: Exchange, scope: Scope, message: Message) -> Awaitable[None] | None:
        exchange.status = message["status"]
        exchange.response_headers = list(message.get("headers") or ())
        exchange.route = starlette_route(scope)
        if exchange.live is None:  # where OpenTelemetry's middleware is inside ours, it has begun its span by now
            self._gate.join(exchange)
        return self._at_response(exchange, scope)

    def _flushing(self, send: Send) -> Send:
        """Servers end their workers in ways that skip atexit; the end of the lifespan comes before."""

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await _aside(self._gate.flush, _FLUSH_AT_SHUTDOWN)
            await send(message)

        return sending


async def _after(waiting: Awaitable[None], send: Send, message: Message) -> None:
    await waiting
    await send(message)


async def _last(exchange: Exchange, send: Send, message: Message) -> None:
    await send(message)
    exchange.close()


async def _aside(work: Callable[[float], object], seconds: float) -> None:
    """Do it in another thread, so that the event loop goes on; where the loop is not asyncio's, here."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        work(seconds)
    else:
        await loop.run_in_executor(None, work, seconds)


class Replaying:
    """`receive` with the messages that were read ahead put back in front, exactly as they came."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.messages: deque[Message] = deque()

    async def ahead(self, limit: int) -> None:
        """Read messages until `limit` bytes of body are there, or its end."""
        held = 0
        more = True
        while more and held < limit:
            message = await self._receive()
            self.messages.append(message)
            held += len(message.get("body") or b"")
            more = message["type"] == "http.request" and bool(message.get("more_body"))

    async def __call__(self) -> Message:
        return self.messages.popleft() if self.messages else await self._receive()


def answering(rejection: Rejection) -> ASGIApp:
    """An ASGI app that answers with `rejection`."""
    headers = [(name.lower().encode(), value.encode()) for name, value in rejection.headers]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - what an ASGI app takes
        await send({"type": "http.response.start", "status": rejection.status, "headers": headers})
        await send({"type": "http.response.body", "body": rejection.body})

    return app


async def closing_websocket(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - as above
    """An ASGI app that refuses a websocket: closed before it was accepted, which servers answer with 403."""
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "forbidden"})


async def _nothing_ahead(_limit: int) -> None:
    """A websocket's handshake has no body."""
