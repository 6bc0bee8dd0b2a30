"""Any ASGI app, captured: receive and send are teed, nothing is read or held back."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from metlo_otel.capture.ahead import NOT_ANNOUNCED, NOT_ASKED_FOR, NOT_IN_TIME, postponed
from metlo_otel.capture.asgi_ahead import Replaying, may_be_read, uncounted
from metlo_otel.capture.asgi_headers import note_headers, readable
from metlo_otel.capture.asgi_outermost import look_outside, wait_for_answer
from metlo_otel.capture.asgi_types import ASGIApp, Message, Receive, Scope, Send, as_coroutine_function
from metlo_otel.capture.copies import Handed
from metlo_otel.capture.gate import Gate
from metlo_otel.capture.routes import asgi_route
from metlo_otel.capture.statuses import handshake_status, limit_answered, status_after
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import CLIENT_CLOSED_REQUEST, Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.nesting import carried, carry
from metlo_otel.core.request import ScopeRequest

AtResponse = Callable[[Exchange, Scope], Awaitable[None] | None]
Ahead = Callable[[int], Awaitable[None]]
Decide = Callable[[Exchange, Scope, Ahead], Awaitable[ASGIApp | None]]

_Then = tuple[Awaitable[None] | None, Message]  # what is awaited before a message is sent, and that message
_BODILESS = ("GET", "HEAD", "OPTIONS")  # unless they announce a body
_LAST: _Then = None, {}


class ASGICapture:
    """Wraps `app`; `at_response` is called (and awaited if need be) once a request, before the response starts.

    `decide` is asked before the app, for websockets too: what it returns is run in the app's place. It may read ahead,
    for `wait` seconds at most.
    """

    def __init__(self, app: ASGIApp, gate: Gate, at_response: AtResponse, decide: Decide, wait: float = 1.0) -> None:
        self._app = app
        self._gate = gate
        self._guard = gate.guard
        self._at_response = at_response
        self._decide = decide
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """As the call itself; a coroutine fewer for who awaits it in one of their own."""
        kind = scope["type"]
        if kind == "http":
            try:
                exchange = self._open(scope)
                if exchange is not None:
                    return self._captured(exchange, self._gate.decides is True, scope, receive, send)
            except Exception as problem:  # noqa: BLE001 - as in _open()
                self._guard.failed(self._open, problem)
        elif kind == "websocket" and self._guard.run(self._decides):
            exchange = self._guard.run(self._open, scope)
            if isinstance(exchange, Exchange):
                return self._handshake(exchange, scope, receive, send)
        elif kind == "lifespan":
            self._guard.run(look_outside, scope, self._gate, self._guard)
            receive, send = partial(self._starting, receive), partial(self._ending, send)
        return self._app(scope, receive, send)

    def _open(self, scope: Scope) -> Exchange | None:
        read = ScopeRequest(scope if type(scope.get("headers")) is list else readable(scope))
        opened = self._gate.open(read, carried(scope))
        exchange = opened if isinstance(opened, Exchange) else None
        carry(scope, exchange)
        if exchange is not None:
            try:
                self._gate.join(exchange)
            except Exception as problem:  # noqa: BLE001 - what the guard does, without its calls, on each request's way
                self._guard.failed(self._gate.join, problem)
        return exchange

    def _decides(self) -> bool:
        return self._gate.decides is True

    async def _captured(self, exchange: Exchange, decides: bool, scope: Scope, receive: Receive, send: Send) -> None:
        token = current_exchange.set(exchange)
        replaying: Replaying | None = None
        app = self._app
        try:
            if decides:
                replaying = self._guard.run(uncounted, receive, exchange.request_body)
                receive = replaying.given if isinstance(replaying, Replaying) else receive
                app = await self._rejecting(exchange, scope, replaying) or app
            sending = as_coroutine_function(Handed(self._send, exchange, scope, send))
            await app(scope, Handed(self._receive, exchange, receive), sending)
        finally:
            try:
                current_exchange.reset(token)
            except ValueError as otherwhere:  # where a request ends in another context than it began
                self._guard.failed(current_exchange.reset, otherwhere)
            problem = sys.exc_info()[1]
            waits = None
            if problem is not None or not exchange.status:
                waits = await self._guard.wait(self._answered_elsewhere(exchange, scope, problem))
            if exchange.on_close is not None and waits is not True:
                self._guard.run(exchange.close)
            if isinstance(replaying, Replaying):
                await self._guard.wait(replaying.end())

    async def _rejecting(self, exchange: Exchange, scope: Scope, replaying: Replaying | None) -> ASGIApp | None:
        """What is run in the app's place."""
        await self._guard.wait(self._rules())
        ahead = partial(self._ahead, exchange, replaying)
        instead = await self._guard.wait(self._decide(exchange, scope, ahead))
        return instead if callable(instead) else None

    async def _rules(self) -> None:
        if self._gate.awaits_rules:
            await self._gate.wait_for_rules_async()

    async def _ahead(self, exchange: Exchange, replaying: Replaying | None, limit: int) -> None:
        """Read what there is of the body, unless its client waits to be asked for it, which is the app's to do."""
        there = isinstance(replaying, Replaying) and may_be_read(exchange.request)
        told = next(iter(exchange.request.header("content-length")), None)
        if there is None:
            postponed(exchange, NOT_ASKED_FOR, limit, told)
        elif there is False and told is None and exchange.request.method not in _BODILESS:
            postponed(exchange, NOT_ANNOUNCED, limit)  # a server that is none of HTTP's may still have one
        elif there and replaying is not None and not await replaying.ahead(limit, self._wait):
            postponed(exchange, NOT_IN_TIME, limit, told)

    async def _answered_elsewhere(self, exchange: Exchange, scope: Scope, problem: BaseException | None) -> bool:
        """The app raised or said nothing: who is further out answers for it. Whether that answer is waited for."""
        exchange.status = limit_answered(problem) or exchange.status
        if exchange.status:
            return False
        if isinstance(problem, Exception):
            ended = partial(self._unanswered, exchange, scope, problem)
            if wait_for_answer(scope, partial(self._send, exchange, scope), ended):
                return True
            look_outside(scope, self._gate, self._guard)  # for later requests, where there was no lifespan
        await self._guess(exchange, scope, problem)
        return False

    async def _unanswered(self, exchange: Exchange, scope: Scope, problem: BaseException) -> None:
        """Nobody has answered but the server, or what was answered has not ended."""
        try:
            if not exchange.status:
                await self._guess(exchange, scope, problem)
        finally:
            exchange.close()

    async def _guess(self, exchange: Exchange, scope: Scope, problem: BaseException | None) -> None:
        exchange.status = status_after(problem, scope)
        exchange.route = asgi_route(scope)
        waiting = None if exchange.status == CLIENT_CLOSED_REQUEST else self._at_response(exchange, scope)
        if waiting is not None:
            await waiting

    async def _handshake(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket that is rejected, or would be, is reported, others are not looked at further."""
        rejecting = await self._rejecting(exchange, scope, None)
        try:
            exchange.captured = exchange.captured and (rejecting is not None or exchange.verdict.would_block)
            sending = as_coroutine_function(Handed(self._answer, exchange, send))
            await (rejecting or self._app)(scope, receive, sending)
        finally:
            exchange.status = exchange.status or self._guard.run(status_after, sys.exc_info()[1], scope) or 0
            self._guard.run(exchange.close)

    def _answer(self, exchange: Exchange, send: Send, message: Message) -> Awaitable[None]:
        if not exchange.status:
            self._guard.run(_note_handshake, exchange, message)
        return send(message)

    async def _receive(self, exchange: Exchange, receive: Receive) -> Message:
        message = await receive()
        try:
            _note_received(exchange, message)
        except Exception as problem:  # noqa: BLE001 - as in _open()
            self._guard.failed(_note_received, problem)
        return message

    def _send(self, exchange: Exchange, scope: Scope, send: Send, message: Message) -> Awaitable[None]:
        """What is noted is noted before the server's own `send` is called, whose coroutine this returns as a rule."""
        try:
            then = self._note_sent(exchange, scope, message)
        except Exception as problem:  # noqa: BLE001 - as in _open()
            self._guard.failed(self._note_sent, problem)
            return send(message)
        if then is _LAST:
            return _last(self._guard, exchange, send, message)
        return _after(self._guard, *then, send) if type(then) is tuple else send(message)

    if sys.version_info >= (3, 12):
        _send = inspect.markcoroutinefunction(_send)
        _answer = inspect.markcoroutinefunction(_answer)

    def _note_sent(self, exchange: Exchange, scope: Scope, message: Message) -> _Then | None:
        """What is to be awaited before a message, and the message to send; None for this one, and at once."""
        kind = message["type"]
        if kind == "http.response.start":
            return self._started(exchange, scope, message)
        if kind != "http.response.body":
            return None
        body = message.get("body")
        if body:
            exchange.response_body.add(body)
        if message.get("more_body"):
            self._gate.streaming(exchange)
            return None
        if exchange.live is not None:
            self._gate.enrich(exchange)  # the span may end as soon as this is sent
        return _LAST

    def _started(self, exchange: Exchange, scope: Scope, message: Message) -> _Then | None:
        exchange.status = message["status"]
        sendable = note_headers(exchange, message)
        waiting = self._routed(exchange, scope)
        return None if waiting is None and sendable is message else (waiting, sendable)

    def _routed(self, exchange: Exchange, scope: Scope) -> Awaitable[None] | None:
        exchange.route = asgi_route(scope)
        if exchange.live is None:  # where OpenTelemetry's middleware is inside ours, it has begun its span by now
            self._gate.join(exchange)
        return self._at_response(exchange, scope)

    async def _starting(self, receive: Receive) -> Message:
        """The worker starts with the app, after the server has forked, so that rules hold for its first request."""
        message = await receive()
        if message["type"] == "lifespan.startup":
            self._guard.run(self._gate.start)
        return message

    async def _ending(self, send: Send, message: Message) -> None:
        """Servers end their workers in ways that skip atexit; the end of the lifespan comes before."""
        if message["type"] == "lifespan.shutdown.complete":
            await self._guard.wait(_aside(self._gate.finish))
        await send(message)


def _note_received(exchange: Exchange, message: Message) -> None:
    body = message.get("body")
    if body:
        if exchange.request_body.again:
            exchange.request_body.add_anew(body)
        else:
            exchange.request_body.add(body)
    elif message["type"] == "http.disconnect" and not exchange.status:
        exchange.status = CLIENT_CLOSED_REQUEST


def _note_handshake(exchange: Exchange, message: Message) -> None:
    status = handshake_status(message)
    if status is not None:
        exchange.status = status
        exchange.close()


async def _after(guard: Guard, waiting: Awaitable[None] | None, message: Message, send: Send) -> None:
    if waiting is not None:
        await guard.wait(waiting)
    await send(message)


async def _last(guard: Guard, exchange: Exchange, send: Send, message: Message) -> None:
    await send(message)
    try:
        exchange.close()
    except Exception as problem:  # noqa: BLE001 - as in _open()
        guard.failed(exchange.close, problem)


async def _aside(work: Callable[[], object]) -> None:
    """Do it in another thread, so that the event loop goes on; where the loop is not asyncio's, here."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        work()
    else:
        await loop.run_in_executor(None, work)
