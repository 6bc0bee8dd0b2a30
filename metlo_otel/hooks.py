"""Hooks for OpenTelemetry's own instrumentations: they tie its spans to Metlo's exchanges, or record these themselves.

Where a Metlo middleware serves the app, a hook binds the span to the middleware's exchange and does no more. Where none
does, it records what a hook can see: no streamed bodies, no request that the instrumentation leaves out, no blocking.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, StatusCode

from metlo_otel.agent import Agent, make_agent
from metlo_otel.capture.routes import asgi_route
from metlo_otel.capture.streams import teed
from metlo_otel.capture.wsgi import may_have_body
from metlo_otel.capture.wsgi_routes import mounted
from metlo_otel.core import tracing
from metlo_otel.core.current import CARRIED
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.request import DecodedRequest, EnvironRequest, Request, ScopeRequest
from metlo_otel.core.settings import SettingsError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metlo_otel.core.options import Options

Carrier = MutableMapping[str, Any]  # environ, META or scope
Hook = Callable[..., object]

_HOOKED = "metlo_otel.hooked"


class Hooks:
    """All hooks, with settings of their own: `Hooks("https://app.metlo.com", "<KEY>").flask_request_hook`.

    The functions of this module are those of one that reads METLO_<NAME>, in Django METLO_CONFIG first. Raises
    SettingsError. No hook raises, waits, or touches the network; spans may be of any kind, recording or not.
    """

    _agent: Agent | None

    def __init__(self, host: str | None = None, api_key: str | None = None, **options: Unpack[Options]) -> None:
        self._agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        tracing.joined.watched = True
        self._guard = Guard(RateLimitedLog(make_logger(None)))

    @classmethod
    def binding(cls) -> Hooks:
        """Hooks that only bind spans to a middleware's exchanges, and record nothing themselves."""
        made = cls.__new__(cls)
        made._agent = None
        made._guard = Guard(RateLimitedLog(make_logger(None)))
        return made

    def django_request_hook(self, span: Span, request: Any) -> None:
        """`DjangoInstrumentor().instrument(request_hook=…)`."""
        self._guard.run(self._django_request, span, request)

    def django_response_hook(self, span: Span, request: Any, response: Any) -> None:
        """`DjangoInstrumentor().instrument(response_hook=…)`."""
        self._guard.run(self._django_response, span, request, response)

    def flask_request_hook(self, span: Span, environ: dict[str, Any]) -> None:
        """`FlaskInstrumentor().instrument(request_hook=…)`."""
        self._guard.run(self._wsgi_request, span, environ)

    def flask_response_hook(self, span: Span | None, status: str, headers: list[tuple[str, str]]) -> None:
        """`FlaskInstrumentor().instrument(response_hook=…)`."""
        self._guard.run(self._flask_response, span, status, headers)

    def wsgi_request_hook(self, span: Span, environ: dict[str, Any]) -> None:
        """`OpenTelemetryMiddleware(app, request_hook=…)` of opentelemetry.instrumentation.wsgi."""
        self._guard.run(self._wsgi_request, span, environ)

    def wsgi_response_hook(
        self, span: Span, environ: dict[str, Any], status: str, headers: list[tuple[str, str]]
    ) -> None:
        """`OpenTelemetryMiddleware(app, response_hook=…)` of opentelemetry.instrumentation.wsgi."""
        self._guard.run(self._wsgi_response, span, environ, status, headers)

    def asgi_server_request_hook(self, span: Span, scope: Carrier) -> None:
        """`server_request_hook=…` of the instrumentations for ASGI, FastAPI and Starlette."""
        self._guard.run(self._asgi_request, span, scope)

    def asgi_client_request_hook(self, span: Span, scope: Carrier, message: Mapping[str, Any]) -> None:
        """`client_request_hook=…` of the same: a message that the app receives."""
        self._guard.run(self._asgi_received, span, scope, message)

    def asgi_client_response_hook(self, span: Span, scope: Carrier, message: Mapping[str, Any]) -> None:
        """`client_response_hook=…` of the same: a message that the app sends."""
        self._guard.run(self._asgi_sent, span, scope, message)

    def _begin(self, span: Span, carrier: Carrier, read: Callable[[], Request]) -> Exchange | None:
        """Bind the middleware's exchange, else open one of our own, until a middleware turns up further in."""
        if CARRIED in carrier:
            _bind(carrier[CARRIED], span)
            return None
        exchange = self._agent.open(read()) if self._agent is not None else None
        if exchange is not None and exchange.on_close is not None:
            tracing.bind(exchange, span, note=False)
            tracing.hook_onto(exchange)
            exchange.on_close = partial(_take, exchange.on_close, exchange.live)
            carrier[_HOOKED] = exchange
        return exchange

    def _own(self, span: Span | None, carrier: Carrier, last: bool = True) -> Exchange | None:
        """The exchange that we opened and that nobody else reports."""
        exchange: Exchange | None = carrier.get(_HOOKED)
        if CARRIED in carrier and span is not None:
            _bind(carrier[CARRIED], span)
        if exchange is not None and (CARRIED in carrier or _is_joined(exchange)):
            exchange.on_close = None
            last, exchange = True, None
        if last:
            carrier.pop(_HOOKED, None)
        return exchange

    def _django_request(self, span: Span, request: Any) -> None:
        scope = getattr(request, "scope", None)
        read = partial(DecodedRequest, request.META) if scope is None else partial(ScopeRequest, scope)
        exchange = self._begin(span, request.META, read)
        stream = getattr(request, "_stream", None)
        if exchange is not None and stream is not None:
            request._stream = teed(stream, exchange.request_body)

    def _django_response(self, span: Span, request: Any, response: Any) -> None:
        from metlo_otel.capture.django import route  # who calls this has imported Django

        exchange = self._own(span, request.META)
        if exchange is None or self._agent is None:
            return
        exchange.route = route(request)
        if not response.streaming:
            exchange.response_body.add(response.content)
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        self._agent.ask_user_sync(exchange, request)
        _end(exchange, response.status_code, [*response.items(), *cookies])

    def _wsgi_request(self, span: Span, environ: dict[str, Any]) -> None:
        exchange = self._begin(span, environ, partial(EnvironRequest, environ))
        if exchange is not None and may_have_body(environ):
            environ["wsgi.input"] = teed(environ["wsgi.input"], exchange.request_body)

    def _flask_response(self, span: Span | None, status: str, headers: list[tuple[str, str]]) -> None:
        from flask import request  # who calls this has imported it

        exchange = self._own(span, request.environ)
        if exchange is not None and self._agent is not None:
            rule = request.url_rule
            exchange.route = None if rule is None else partial(mounted, rule.rule, request.path, exchange.request)
            self._agent.ask_user_sync(exchange, request)
            _end(exchange, int(status[:3]), headers.copy())

    def _wsgi_response(self, span: Span, environ: dict[str, Any], status: str, headers: list[tuple[str, str]]) -> None:
        exchange = self._own(span, environ)
        if exchange is not None and self._agent is not None:
            self._agent.ask_user_sync(exchange, environ)
            _end(exchange, int(status[:3]), headers.copy())

    def _asgi_request(self, span: Span, scope: Carrier) -> None:
        if scope["type"] == "http":
            self._begin(span, scope, partial(ScopeRequest, scope))

    def _asgi_received(self, _span: Span, scope: Carrier, message: Mapping[str, Any]) -> None:
        exchange = scope.get(_HOOKED)
        if exchange is not None and message.get("body"):
            exchange.request_body.add(message["body"])

    def _asgi_sent(self, _span: Span, scope: Carrier, message: Mapping[str, Any]) -> None:
        more = message["type"] != "http.response.body" or bool(message.get("more_body"))
        exchange = self._own(None, scope, last=not more)
        if exchange is None or self._agent is None:
            return
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.response_headers = list(message.get("headers") or ())
            exchange.route = asgi_route(scope)
            self._agent.ask_user_sync(exchange, scope)
        elif message.get("body"):
            exchange.response_body.add(message["body"])
        if more:
            self._agent.streaming(exchange)
        else:
            exchange.close()


class _FromEnvironment(Hooks):
    """Hooks whose settings are read at the first request that no middleware has seen."""

    def __init__(self) -> None:
        self._guard = Guard(RateLimitedLog(make_logger(None)))
        tracing.joined.watched = True  # from the first request on, which a middleware may see before a hook does

    def __getattr__(self, name: str) -> Any:
        if name != "_agent":
            raise AttributeError(name)
        self._agent = None
        try:
            self._agent = make_agent(_django_config())
        except SettingsError as problem:
            said = "the hooks record nothing themselves where no Metlo middleware is"
            logging.getLogger("metlo_otel").warning("%s; %s", problem, said)
        return self._agent


def _django_config() -> Mapping[str, Any]:
    """METLO_CONFIG, where the process is a Django app's."""
    conf = sys.modules.get("django.conf")
    return getattr(conf.settings, "METLO_CONFIG", {}) if conf is not None and conf.settings.configured else {}


def _bind(exchange: Exchange | None, span: Span) -> None:
    if exchange is not None:
        tracing.bind(exchange, span)


def _is_joined(exchange: Exchange) -> bool:
    return exchange.span is not None and exchange.span in tracing.joined


def _end(exchange: Exchange, status: int, headers: list[tuple[str, str]]) -> None:
    exchange.status = status
    exchange.response_headers = headers
    exchange.close()


def _take(take: Callable[[Exchange], None], span: Span | None, exchange: Exchange) -> None:
    """At the close. Where the response was not heard of (`exclude_spans`), the span knows its status."""
    if not exchange.status:
        if _is_joined(exchange):
            return
        exchange.status = _status(span)
        exchange.ended = getattr(span, "end_time", None) or time.time_ns()
    if exchange.span is not None:
        tracing.joined.add(exchange.span.trace_id, exchange.span.span_id)
    take(exchange)


def _status(span: Any) -> int:
    """The status by a span's attributes; 500 where the app raised; 0 where nobody knows."""
    found = getattr(span, "attributes", None) or {}
    status = found.get("http.response.status_code") or found.get("http.status_code")
    if isinstance(status, int):
        return status
    code = getattr(getattr(span, "status", None), "status_code", None)
    return 500 if code is StatusCode.ERROR else 0


def chain(first: Hook | None, second: Hook | None) -> Hook:
    """A hook that calls both, in this order; what the first raises is raised, after the second ran. None is nobody."""

    def both(*args: Any) -> None:
        try:
            if first is not None:
                first(*args)
        finally:
            if second is not None:
                second(*args)

    return both


_default = _FromEnvironment()

django_request_hook = _default.django_request_hook
django_response_hook = _default.django_response_hook
flask_request_hook = _default.flask_request_hook
flask_response_hook = _default.flask_response_hook
wsgi_request_hook = _default.wsgi_request_hook
wsgi_response_hook = _default.wsgi_response_hook
asgi_server_request_hook = _default.asgi_server_request_hook
asgi_client_request_hook = _default.asgi_client_request_hook
asgi_client_response_hook = _default.asgi_client_response_hook
