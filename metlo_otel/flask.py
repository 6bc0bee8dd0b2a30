"""The way in for Flask."""

from __future__ import annotations

from functools import partial
from typing import Any

import flask

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.wsgi import Environ, WSGIApp, WSGICapture, ahead
from metlo_otel.contrib.flask import traced
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.rejection import Rejection

_CUT_BY_WERKZEUG = (204, 304)


class MetloFlask:
    """`MetloFlask(app, host, api_key, **options)`, or `MetloFlask()` and later `init_app(app)`.

    Options are the settings in upper or lower case; what is not given is read from `app.config["METLO_<NAME>"]`, then
    from the environment. GET_USER and REJECT_RESPONSE are called within the request, with `flask.request`.
    Raises SettingsError.
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
        app.after_request_funcs.setdefault(None, []).insert(0, after)  # the first in the list runs last
        self._raised = partial(_raised, agent)  # signals keep nobody alive
        flask.got_request_exception.connect(self._raised, app)
        captured = _Capture(app, wsgi_app, agent)
        if agent.settings.tracing == "instrument":
            return agent.guard.run(traced, app, captured) or captured
        return captured


class _Capture(WSGICapture):
    """The capture around a Flask app; at its first request it puts the decision before the app's own hooks."""

    def __init__(self, app: flask.Flask, wsgi_app: WSGIApp, agent: Agent) -> None:
        super().__init__(wsgi_app, agent)
        self._flask: flask.Flask | None = app
        self._before = partial(_before, agent)

    def _open(self, environ: Environ) -> Exchange | None:
        if self._flask is not None:
            self._place(self._flask)
            self._flask = None
        return super()._open(environ)

    def _place(self, app: flask.Flask) -> None:
        """Behind OpenTelemetry's own hook, so that a rejected request has its span; before every other."""
        hooks = app.before_request_funcs.setdefault(None, [])
        theirs = [hook for hook in hooks if (getattr(hook, "__module__", "") or "").startswith("opentelemetry.")]
        others = [
            hook for hook in hooks if hook not in theirs and hook is not self._before
        ]  # two first requests at once
        hooks[:] = [*theirs, self._before, *others]


def _before(agent: Agent) -> Any:
    exchange = current_exchange.get()
    if exchange is None or not agent.decides:
        return None
    return agent.guard.run(_decide, agent, exchange)


def _decide(agent: Agent, exchange: Exchange) -> flask.Response | None:
    request = flask.request
    verdict = agent.judge.decide(exchange, request, lambda limit: ahead(request.environ, limit))
    return _answer(agent, exchange) if verdict.blocked else None


def _answer(agent: Agent, exchange: Exchange) -> flask.Response:
    answering = Answering("what a Flask view may return", flask.current_app.make_response, _default)
    return agent.callbacks.rejection(exchange, flask.request, answering)


def _default(rejection: Rejection) -> flask.Response:
    return flask.Response(rejection.body or None, rejection.status, list(rejection.headers))


def _after(agent: Agent, response: flask.Response) -> flask.Response:
    exchange = current_exchange.get()
    if exchange is not None:
        agent.guard.run(_note, agent, exchange, response)
    return response


def _raised(agent: Agent, _app: flask.Flask, **_: Any) -> None:
    """An exception that Flask may let out, to a debugger or a test: then there is no response to note this at."""
    exchange = current_exchange.get()
    if exchange is not None:
        agent.guard.run(_note_request, agent, exchange)


def _note_request(agent: Agent, exchange: Exchange) -> None:
    rule = flask.request.url_rule
    exchange.route = rule.rule if rule is not None else None
    agent.join(exchange)
    agent.ask_user_sync(exchange, flask.request)


def _note(agent: Agent, exchange: Exchange, response: flask.Response) -> None:
    _note_request(agent, exchange)
    if exchange.live is not None:
        chunks = response.response if response.is_sequence else ()
        agent.enrich(exchange, response.status_code, response.headers, chunks)
    if response.status_code in _CUT_BY_WERKZEUG or flask.request.method == "HEAD":
        _note_uncut(exchange, response)


def _note_uncut(exchange: Exchange, response: flask.Response) -> None:
    """Werkzeug drops what the view answered to HEAD, or with 204; it is noted here, as with other frameworks."""
    if response.is_sequence:
        for chunk in response.response:
            exchange.response_body.add(chunk if isinstance(chunk, bytes) else str(chunk).encode())


def _configured(app: flask.Flask) -> dict[str, Any]:
    return {name: value for name, value in app.config.items() if name.startswith("METLO_")}
