"""The way in for any ASGI app, Starlette and FastAPI among them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, overload

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.asgi import Ahead, ASGICapture, AtResponse
from metlo_otel.capture.asgi_answers import answering, closing_websocket
from metlo_otel.capture.asgi_late import DecidingApp
from metlo_otel.capture.asgi_types import ASGIApp, Message, Receive, Scope, Send, single_callable
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.settings import SettingsError
from metlo_otel.core.tracing import name_by_route

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metlo_otel.core.options import Options


class ASGIMiddleware:
    """`app.add_middleware(ASGIMiddleware, host=…, api_key=…, **options)`, or `ASGIMiddleware(app, host, api_key, …)`.

    Options are the settings in upper or lower case; GET_USER and REJECT_RESPONSE are given the scope
    and may be async; the latter gives a Starlette response or any ASGI app. Raises SettingsError; where
    Starlette makes it, which is not before the app is called, ends the server's start with that text instead.
    `agent` is None when DISABLED, and requests then go straight to the app.
    """

    _may_end_start: ClassVar[bool] = True

    @overload
    def __init__(
        self, app: ASGIApp, /, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self, *, app: ASGIApp, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]
    ) -> None: ...

    def __init__(  # Starlette types `app` as positional, its older versions pass it by name
        self, app: ASGIApp, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]
    ) -> None:
        self.app = app  # by this name others look for what is further in
        self.agent: Agent | None = None
        serving = single_callable(app)
        self._serve: ASGIApp = serving
        try:
            self.agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        except SettingsError as wrong:
            if not (self._may_end_start and _made_in_a_call()):
                raise
            self._serve = _ending_start(wrong)
        if self.agent is not None and self.agent.settings.tracing == "instrument":
            from metlo_otel.contrib.asgi import traced  # loads OpenTelemetry's, which only this wants

            self._serve = traced(_Way(self.agent).around(serving, _naming(self.agent)))
        elif self.agent is not None:
            self._serve = _Way(self.agent).around(serving, self.agent.ask_user).serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def _made_in_a_call() -> bool:
    """Whether an app makes this while it is called, as Starlette builds its stack in its first call: servers take what
    is raised there to mean that the app has no lifespan, and go on.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "__call__" and "scope" in frame.f_code.co_varnames:
            return True
        frame = frame.f_back
    return False


def _ending_start(wrong: SettingsError) -> ASGIApp:
    """Answers the lifespan so that the server says what is wrong and ends; raises it too, as Starlette does then."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(wrong)})
        raise SettingsError(list(wrong.problems))  # a new one: a traceback grows with each raise

    return app


class _Way:
    """What an ASGI app's requests ask of the agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def around(self, app: ASGIApp, at_response: AtResponse) -> ASGICapture:
        decide = partial(self._decide, app)
        return ASGICapture(app, self._agent, at_response, decide, self._agent.settings.read_ahead_wait)

    async def _decide(self, app: ASGIApp, exchange: Exchange, scope: Scope, ahead: Ahead) -> ASGIApp | None:
        verdict = await self._agent.judge.decide_async(exchange, scope, ahead)
        if verdict.blocked:
            return await self._answer(exchange, scope)
        if exchange.late is not None:
            return DecidingApp(app, exchange, exchange.late, self._agent.guard, self._answer)
        return None

    async def _answer(self, exchange: Exchange, scope: Scope) -> ASGIApp:
        if scope["type"] == "websocket":
            return closing_websocket
        callbacks = self._agent.callbacks
        default = answering(callbacks.default(exchange))

        def read(answer: Any) -> ASGIApp | None:
            return self._first_that_answers(answer, default) if callable(answer) else None

        wanted = "a Starlette response or an ASGI app"
        return await callbacks.rejection_async(exchange, scope, Answering(wanted, read, answering))

    def _first_that_answers(self, custom: ASGIApp, default: ASGIApp) -> ASGIApp:
        """Where the app's own answer raises before it begins, or says nothing, the default one is given."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            started = False

            async def noting(message: Message) -> None:
                nonlocal started
                started = True
                await send(message)

            async def reject_response() -> None:
                await custom(scope, receive, noting)

            await self._agent.guard.wait(reject_response())
            if not started:
                await default(scope, receive, send)

        return app


def _naming(agent: Agent) -> AtResponse:
    """Asks for the user, and gives the span that is ours its route, as an instrumentation for the framework would."""

    def at_response(exchange: Exchange, scope: Scope) -> Awaitable[None] | None:
        name_by_route(exchange)
        return agent.ask_user(exchange, scope)

    return at_response
