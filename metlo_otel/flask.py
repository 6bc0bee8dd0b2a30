"""The way in for Flask."""

from __future__ import annotations

from functools import partial
from typing import Any

import flask

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.wsgi import WSGIApp, WSGICapture
from metlo_otel.contrib.flask import traced
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange

_CUT_BY_WERKZEUG = (204, 304)


class MetloFlask:
    """`MetloFlask(app, host, api_key, **options)`, or `MetloFlask()` and later `init_app(app)`.

    Options are the settings in upper or lower case; what is not given is read from `app.config["METLO_<NAME>"]`, then
    from the environment. GET_USER is called within the request, with `flask.request`. Raises SettingsError.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        host: str | None = None,
        api_key: str | None = None,
        **options: Any,
    ) -> None:
        self._options = {"metlo_host": host, "api_key": api_key, **options}
        self.agent: Agent | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Put the agent in front of `app`."""
        app.wsgi_app = self.attach(app, app.wsgi_app)  # type: ignore[method-assign,assignment]  # Flask's own advice

    def attach(self, app: flask.Flask, wsgi_app: WSGIApp) -> WSGIApp:
        """The agent in front of `wsgi_app`, which `app` is to be served by; `wsgi_app` itself when DISABLED."""
        agent = make_agent(self._options, _configured(app))
        if agent is None:
            return wsgi_app
        self.agent = agent
        app.extensions["metlo_otel"] = self
        after = partial(_after, agent)
        app.after_request_funcs.setdefault(None, []).insert(0, after)  # first in the list: runs last
        captured = WSGICapture(wsgi_app, agent)
        if agent.settings.tracing == "instrument":
            return agent.guard.run(traced, app, captured) or captured
        return captured


def _after(agent: Agent, response: flask.Response) -> flask.Response:
    exchange = current_exchange.get()
    if exchange is not None:
        agent.guard.run(_note, agent, exchange, response)
    return response


def _note(agent: Agent, exchange: Exchange, response: flask.Response) -> None:
    rule = flask.request.url_rule
    exchange.route = rule.rule if rule is not None else None
    agent.join(exchange)
    agent.ask_user_sync(exchange, flask.request)
    if exchange.live is not None:
        chunks = response.response if response.is_sequence else ()
        agent.enrich(exchange, response.status_code, list(response.headers), chunks)
    if response.status_code in _CUT_BY_WERKZEUG or flask.request.method == "HEAD":
        _note_uncut(exchange, response)


def _note_uncut(exchange: Exchange, response: flask.Response) -> None:
    """Werkzeug drops what the view answered to HEAD, or with 204; it is noted here, as with other frameworks."""
    if response.is_sequence:
        for chunk in response.response:
            exchange.response_body.add(chunk if isinstance(chunk, bytes) else str(chunk).encode())


def _configured(app: flask.Flask) -> dict[str, Any]:
    return {name: value for name, value in app.config.items() if name.startswith("METLO_")}
