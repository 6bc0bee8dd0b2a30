"""Any ASGI app, captured: receive and send are teed, nothing is read or held back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from metlo_otel.capture.gate import Gate
from metlo_otel.capture.routes import starlette_route
from metlo_otel.core.current import CARRIED, current_exchange
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import ScopeRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
AtResponse = Callable[[Exchange, Scope], Awaitable[None] | None]

_CLIENT_CLOSED_REQUEST = 499  # what nginx logs for a client that went away before there was an answer
_FLUSH_AT_SHUTDOWN = 3.0  # seconds


class ASGICapture:
    """Wraps `app`; `at_response` is called (and awaited if need be) once a request, before the response starts."""

    def __init__(self, app: ASGIApp, gate: Gate, at_response: AtResponse) -> None:
        self._app = app
        self._gate = gate
        self._at_response = at_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = self._gate.guard.run(self._open, scope)
            if exchange is not None:
                return await self._serve(exchange, scope, receive, send)
        elif scope["type"] == "lifespan":
            send = self._flushing(send)
        return await self._app(scope, receive, send)

    def _open(self, scope: Scope) -> Exchange | None:
        exchange = self._gate.open(ScopeRequest(scope))
        if exchange is not None:
            self._gate.join(exchange)
        scope[CARRIED] = exchange
        return exchange

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        token = current_exchange.set(exchange)
        try:
            await self._app(scope, self._receiving(exchange, receive), self._sending(exchange, scope, send))
        finally:
            current_exchange.reset(token)
            if not exchange.status:
                exchange.status = 500  # the app raised or said nothing: the server answers for it
            exchange.close()

    def _receiving(self, exchange: Exchange, receive: Receive) -> Receive:
        add = exchange.request_body.add

        async def receiving() -> Message:
            message = await receive()
            body = message.get("body")
            if body:
                add(body)
            elif message["type"] == "http.disconnect" and not exchange.status:
                exchange.status = _CLIENT_CLOSED_REQUEST
            return message

        return receiving

    def _sending(self, exchange: Exchange, scope: Scope, send: Send) -> Send:
        add = exchange.response_body.add
        guard = self._gate.guard

        async def sending(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.body":
                body = message.get("body")
                if body:
                    add(body)
                if exchange.live is not None and not message.get("more_body"):
                    guard.run(self._gate.enrich, exchange)  # the span may end as soon as this is sent
                await send(message)
                if message.get("more_body"):
                    guard.run(self._gate.streaming, exchange)
                else:
                    exchange.close()
                return
            if kind == "http.response.start":
                waiting = guard.run(self._started, exchange, scope, message)
                if waiting is not None:
                    await waiting
            await send(message)

        return sending

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
                self._gate.flush(_FLUSH_AT_SHUTDOWN)
            await send(message)

        return sending
