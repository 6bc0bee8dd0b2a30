"""The way in for any ASGI app, Starlette and FastAPI among them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.asgi import ASGIApp, ASGICapture, AtResponse, Receive, Scope, Send
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.tracing import name_by_route


class ASGIMiddleware:
    """`app.add_middleware(ASGIMiddleware, host=…, api_key=…, **options)`, or `ASGIMiddleware(app, host, api_key, …)`.

    Options are the settings in upper or lower case; GET_USER is given the scope and may be async. Raises SettingsError.
    `agent` is None when DISABLED, and requests then go straight to the app.
    """

    def __init__(self, app: ASGIApp, host: str | None = None, api_key: str | None = None, **options: Any) -> None:
        self.app = app  # by this name others look for what is further in
        self.agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        self._serve: ASGIApp = app
        if self.agent is not None and self.agent.settings.tracing == "instrument":
            from metlo_otel.contrib.asgi import traced  # loads OpenTelemetry's, which only this wants

            self._serve = traced(ASGICapture(app, self.agent, _naming(self.agent)))
        elif self.agent is not None:
            self._serve = ASGICapture(app, self.agent, self.agent.ask_user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def _naming(agent: Agent) -> AtResponse:
    """Asks for the user, and gives the span that is ours its route, as an instrumentation for the framework would."""

    def at_response(exchange: Exchange, scope: Scope) -> Awaitable[None] | None:
        name_by_route(exchange)
        return agent.ask_user(exchange, scope)

    return at_response
