"""The way in for Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from weakref import ref

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect
from werkzeug.wsgi import ClosingIterator

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.ahead import ReadAhead
from metlo_otel.capture.flask_app import put_in_front
from metlo_otel.capture.wsgi import Environ, WSGIApp, WSGICapture, answering
from metlo_otel.capture.wsgi_output import content_length
from metlo_otel.capture.wsgi_routes import mounted
from metlo_otel.contrib import require
from metlo_otel.contrib.flask import traced
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Body, Exchange, Route
from metlo_otel.core.late import LateDecision
from metlo_otel.core.nesting import own_exchange
from metlo_otel.core.rejection import Rejection
from metlo_otel.export.enrichment import Answer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metlo_otel.core.options import Options

_CUT_BY_WERKZEUG = (204, 304)
_MISSED = (MethodNotAllowed, RequestRedirect)
_REFUSAL = "metlo_otel.refusal"  # and the rejection, where Flask lets an exception out
_RESPONSE = "metlo_otel.response"  # where environ carries the answer from process_response() to the capture


class MetloFlask:
    """`MetloFlask(app, host, api_key, **options)`, or `MetloFlask()` and later `init_app(app)`.

    Options are the settings in upper or lower case; what is not given is read from `app.config["METLO_<NAME>"]`, then
    from the environment. GET_USER and REJECT_RESPONSE are called within the request, with `flask.request`.
    Raises SettingsError, and TypeError where the app was forgotten.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        host: str | None = None,
        api_key: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._options = {"metlo_host": host, "api_key": api_key, **options}
        self.agent: Agent | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Put the agent in front of `app`."""
        if not hasattr(app, "wsgi_app"):
            given = type(app).__name__
            raise TypeError(f"MetloFlask(app, host, api_key) takes the Flask app first, but it was given a {given}")
        put_in_front(app, partial(self.attach, app))

    def attach(self, app: flask.Flask, wsgi_app: WSGIApp) -> WSGIApp:
        """The agent in front of `wsgi_app`, which `app` is to be served by; `wsgi_app` itself when DISABLED."""
        agent = make_agent(self._options, _configured(app))
        if agent is None:
            return wsgi_app
        require(agent.settings, "flask")
        self.agent = agent
        app.extensions["metlo_otel"] = self
        app.process_response = _noting(agent, app)  # type: ignore[method-assign]  # as with wsgi_app
        self._raised = partial(_raised, agent)  # signals keep nobody alive
        flask.got_request_exception.connect(self._raised, app)
        captured = _Capture(app, wsgi_app, agent)
        if agent.settings.tracing == "instrument":
            return agent.guard.run(traced, app, captured) or captured
        return captured


class _Capture(WSGICapture):
    """The capture around a Flask app; once there is anything to decide, that comes before the app's own hooks."""

    def __init__(self, app: flask.Flask, wsgi_app: WSGIApp, agent: Agent) -> None:
        super().__init__(wsgi_app, agent, decide=self._decide_later, refuse=partial(_refusal, agent))
        self._flask = ref(app)
        self._before = partial(_before, agent)
        self._placed = False

    def _tee(self, exchange: Exchange, environ: Environ, result: Iterable[bytes]) -> Iterable[bytes] | None:
        """What Flask holds in memory is noted from there, if that is what goes out: then nothing is teed.

        Also what Werkzeug drops of the view's answer to HEAD, or with 204; it is noted as with other frameworks.
        """
        response = environ.pop(_RESPONSE, None)
        if response is not None and type(result) is ClosingIterator and response.is_sequence:
            body = exchange.response_body
            for chunk in response.response:
                body.add(chunk if isinstance(chunk, bytes) else str(chunk).encode())
            cut = exchange.status in _CUT_BY_WERKZEUG or environ.get("REQUEST_METHOD") == "HEAD"
            if cut or body.size == content_length(exchange.response_headers):
                exchange.close()
                return result
            exchange.response_body = Body(body.limit)  # changed by what is between Flask and us
        return super()._tee(exchange, environ, result)

    def _decide_later(self, _exchange: Exchange, _environ: Environ) -> None:
        """Within the request, that is, where GET_USER finds `flask.request`."""
        if not self._placed:
            self._place()

    def _place(self) -> None:
        """Behind OpenTelemetry's own hook, so that a rejected request has its span; before every other.

        The list is a new one: requests that go through the old one at this moment do so undisturbed.
        """
        app = self._flask()
        if app is None:  # within a request there is one
            return
        hooks = app.before_request_funcs.get(None, [])
        theirs = [hook for hook in hooks if (getattr(hook, "__module__", "") or "").startswith("opentelemetry.")]
        others = [hook for hook in hooks if hook not in theirs and hook is not self._before]  # placed at the same time
        app.before_request_funcs[None] = [*theirs, self._before, *others]
        self._placed = True


def _before(agent: Agent) -> Any:
    return agent.guard.run(_decide, agent)


def _decide(agent: Agent) -> flask.Response | None:
    exchange = own_exchange(agent)
    if exchange is None or not agent.decides:
        return None
    request = flask.request
    environ = request.environ
    ahead = ReadAhead(exchange, environ, environ.get("wsgi.input"), agent.settings.read_ahead_wait, agent.guard)
    verdict = agent.judge.decide(exchange, request, ahead)
    return _answer(agent, exchange) if verdict.blocked else None


def _answer(agent: Agent, exchange: Exchange) -> flask.Response:
    answering = Answering("what a Flask view may return", flask.current_app.make_response, _default)
    return agent.callbacks.rejection(exchange, flask.request, answering)


def _default(rejection: Rejection) -> flask.Response:
    return flask.Response(rejection.body or None, rejection.status, list(rejection.headers))


def _noting(agent: Agent, app: flask.Flask) -> Callable[..., flask.Response]:
    """The app's own `process_response`, noting what comes of it. A hook after the request costs 2 µs more, in Flask.

    The user is asked for before: what GET_USER puts into the session is saved there.
    """
    own = vars(app).get("process_response")  # what somebody else has put here; a class may be patched later
    asks = agent.settings.get_user is not None
    kind, served = type(app), ref(app)

    @wraps(kind.process_response)
    def process_response(*args: Any, **kwargs: Any) -> flask.Response:
        exchange = current_exchange.get()
        if exchange is not None and asks:
            agent.guard.run(agent.ask_user_sync, exchange, flask.request)
        if exchange is not None and exchange.late is not None:
            args, kwargs = agent.guard.run(_replaced, agent, exchange, exchange.late, args, kwargs) or (args, kwargs)
        process = own or kind.process_response.__get__(served())
        response: flask.Response = process(*args, **kwargs)
        if exchange is not None:
            agent.guard.run(_note, agent, exchange, response)
        return response

    return process_response


def _replaced(agent: Agent, exchange: Exchange, late: LateDecision, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of process_response(): what the view has answered, or the rejection if there is one by now."""
    if late.answers() is not True:
        return args, kwargs
    answer = flask.request.environ.pop(_REFUSAL, None) or _answer(agent, exchange)
    late.refused = False  # it is sent now
    return (answer,), {}


def _refusal(agent: Agent, exchange: Exchange, environ: Environ) -> WSGIApp:
    """The rejection, made within the request if there was time."""
    made: WSGIApp | None = environ.pop(_REFUSAL, None)
    return answering(agent.callbacks.default(exchange)) if made is None else made


def _raised(agent: Agent, _app: flask.Flask, **_: Any) -> None:
    """An exception that Flask may let out, to a debugger or a test: then there is no response to note this at."""
    exchange = current_exchange.get()
    if exchange is not None:
        if exchange.late is not None and exchange.late.refused:
            flask.request.environ[_REFUSAL] = agent.guard.run(_answer, agent, exchange)
        agent.guard.run(agent.ask_user_sync, exchange, flask.request)
        agent.guard.run(_note, agent, exchange, None)


def _note(agent: Agent, exchange: Exchange, response: flask.Response | None) -> None:
    # The request itself, documented of proxies: each look through one costs 0.8 µs
    request: flask.Request = flask.request._get_current_object()  # type: ignore[attr-defined]
    exchange.route = _route(exchange, request)
    if exchange.live is None:
        agent.join(exchange)
    if response is None:
        if exchange.verdict.blocked:  # the rejection may never come here: it is told of now
            agent.enrich(exchange)
        return
    if exchange.live is not None:
        agent.enrich(exchange, _answered, response)
    request.environ[_RESPONSE] = response  # until it is what goes out: signals and other WSGI apps may yet change it


def _route(exchange: Exchange, request: flask.Request) -> Route:
    """The route that Flask has found, with the prefix under which the app is mounted, if it is."""
    rule = request.url_rule
    route = _missed(request) if rule is None else rule.rule
    if route is None or not request.environ.get("SCRIPT_NAME"):
        return route
    return partial(mounted, route, request.path, exchange.request)  # for the worker to find


def _missed(request: flask.Request) -> str | None:
    """The route of what Flask answers by itself: it has one for another method, or with a slash at the end."""
    problem = request.routing_exception
    found = flask.current_app.create_url_adapter(request) if isinstance(problem, _MISSED) else None
    if found is None:
        return None
    try:
        if isinstance(problem, MethodNotAllowed):
            return found.match(method=next(iter(problem.valid_methods or ()), None), return_rule=True)[0].rule
        rule = found.match(path_info=request.path.rstrip("/") + "/", return_rule=True)[0]
        return rule.rule.rstrip("/") or "/"
    except HTTPException:  # a redirect of another kind: there is no telling
        return None


def _answered(response: flask.Response) -> Answer:
    return response.status_code, response.headers, response.response if response.is_sequence else ()


def _configured(app: flask.Flask) -> dict[str, Any]:
    return {name: value for name, value in app.config.items() if name.startswith("METLO_")}
