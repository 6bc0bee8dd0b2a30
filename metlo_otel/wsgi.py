"""The way in for any WSGI app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.ahead import ReadAhead
from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp, WSGICapture, answering, rehearsed
from metlo_otel.capture.wsgi_routes import wsgi_route
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.exchange import Exchange

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metlo_otel.core.options import Options


class WSGIMiddleware:
    """`app = WSGIMiddleware(app, host, api_key, **options)`.

    Options are the settings in upper or lower case; GET_USER is given the environ, REJECT_RESPONSE too and gives a WSGI
    app. Raises SettingsError, and TypeError where the app was forgotten. `agent` is None when DISABLED, and requests
    then go straight to the app.
    """

    def __init__(
        self, app: WSGIApp, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]
    ) -> None:
        if not callable(app):
            given = type(app).__name__
            raise TypeError(f"WSGIMiddleware(app, host, api_key) takes the WSGI app first, but it was given a {given}")
        self.agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        self._serve = app
        if self.agent is not None:
            self._serve = _Way(self.agent).around(app)
            if self.agent.settings.tracing == "instrument":
                from metlo_otel.contrib.wsgi import traced  # loads OpenTelemetry's, which only this wants

                self._serve = traced(self._serve)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._serve(environ, start_response)


class _Way:
    """What a plain WSGI app's requests ask of the agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def around(self, app: WSGIApp) -> WSGICapture:
        return WSGICapture(app, self._agent, self._at_response, self._decide, self._answer)

    def _at_response(self, exchange: Exchange, environ: Environ) -> None:
        if exchange.live is None:
            self._agent.join(exchange)
        exchange.route = wsgi_route(environ, exchange.request) or exchange.route
        self._agent.ask_user_sync(exchange, environ)

    def _decide(self, exchange: Exchange, environ: Environ) -> WSGIApp | None:
        agent = self._agent
        ahead = ReadAhead(exchange, environ, environ.get("wsgi.input"), agent.settings.read_ahead_wait, agent.guard)
        verdict = agent.judge.decide(exchange, environ, ahead)
        return self._answer(exchange, environ) if verdict.blocked else None

    def _answer(self, exchange: Exchange, environ: Environ) -> WSGIApp:
        """The whole of the app's own answer is made before any of it is sent, so that what fails leaves no half."""
        return self._agent.callbacks.rejection(
            exchange, environ, Answering("a WSGI app", lambda app: rehearsed(app, environ), answering)
        )
