"""The way in for any WSGI app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp, WSGICapture
from metlo_otel.core.exchange import Exchange


class WSGIMiddleware:
    """`app = WSGIMiddleware(app, host, api_key, **options)`.

    Options are the settings in upper or lower case; GET_USER is given the environ. Raises SettingsError.
    `agent` is None when DISABLED, and requests then go straight to the app.
    """

    def __init__(self, app: WSGIApp, host: str | None = None, api_key: str | None = None, **options: Any) -> None:
        self.agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        self._serve = app
        if self.agent is not None:
            self._serve = WSGICapture(app, self.agent, _asking(self.agent))
            if self.agent.settings.tracing == "instrument":
                from metlo_otel.contrib.wsgi import traced  # loads OpenTelemetry's, which only this wants

                self._serve = traced(self._serve)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._serve(environ, start_response)


def _asking(agent: Agent) -> Any:
    def at_response(exchange: Exchange, environ: Environ) -> None:
        if exchange.live is None:
            agent.join(exchange)
        agent.ask_user_sync(exchange, environ)

    return at_response
