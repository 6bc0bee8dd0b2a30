"""Hooks by themselves: whatever span they are given, whatever it does."""

from __future__ import annotations

import io
import itertools
from typing import Any

import flask
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from metlo_otel.core import tracing
from metlo_otel.hooks import Hooks, chain
from metlo_otel.testing import MemoryCollector
from tests.export.exchanges import wsgi_exchange

NUMBERS = itertools.count(0xABC)


def context() -> SpanContext:
    """Ids that no span had before."""
    return SpanContext(next(NUMBERS), next(NUMBERS), False, TraceFlags(TraceFlags.DEFAULT))


class Foreign(Span):
    """A span that has OpenTelemetry's API and no more: no attributes, parent, kind or end to be read, as ddtrace's."""

    def __init__(self) -> None:
        self._context = context()

    def end(self, end_time: Any = None) -> None: ...

    def get_span_context(self) -> SpanContext:
        return self._context

    def set_attributes(self, attributes: Any) -> None: ...

    def set_attribute(self, key: str, value: Any) -> None: ...

    def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None: ...

    def update_name(self, name: str) -> None: ...

    def is_recording(self) -> bool:
        return True

    def set_status(self, status: Any, description: str | None = None) -> None: ...

    def record_exception(self, *args: Any, **kwargs: Any) -> None: ...


class Broken(Foreign):
    """A span that fails."""

    def get_span_context(self) -> SpanContext:
        raise RuntimeError("broken")

    def is_recording(self) -> bool:
        raise RuntimeError("broken")


def wsgi(hooks: Hooks, span: Span) -> None:
    """What OpenTelemetry's WSGI middleware calls in a request."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/users/7",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    hooks.wsgi_request_hook(span, environ)
    hooks.wsgi_response_hook(span, environ, "200 OK", [("Content-Type", "text/plain")])


def asgi(hooks: Hooks, span: Span) -> None:
    """What OpenTelemetry's ASGI middleware calls in a request."""
    headers = [(b"host", b"shop.example")]
    scope = {"type": "http", "method": "GET", "path": "/users/7", "query_string": b"", "headers": headers}
    hooks.asgi_server_request_hook(span, scope)
    hooks.asgi_client_request_hook(span, scope, {"type": "http.request", "body": b""})
    hooks.asgi_client_response_hook(span, scope, {"type": "http.response.start", "status": 200, "headers": []})
    hooks.asgi_client_response_hook(span, scope, {"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize("request_", [wsgi, asgi])
@pytest.mark.parametrize("kind", ["none", "unsampled", "api"])
def test_any_span_will_do(kind: str, request_: Any) -> None:
    """A request is recorded once, by the ids of whatever span there is."""
    span = {"none": INVALID_SPAN, "unsampled": NonRecordingSpan(context()), "api": Foreign()}[kind]
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        hooks = Hooks(collector.url, collector.api_key)
        request_(hooks, span)
        assert hooks._agent is not None
        hooks._agent.shutdown(10)
        (trace,) = collector.traces
    assert hooks._guard.failures == 0
    assert (trace["request"]["url"]["path"], trace["response"]["status"]) == ("/users/7", 200)
    if span is not INVALID_SPAN:
        assert trace["meta"]["traceId"] == format(span.get_span_context().trace_id, "032x")
        assert trace["meta"]["spanId"] == format(span.get_span_context().span_id, "016x")


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_flask_route_has_its_prefix(prefix: str) -> None:
    """The route that a hook records has what stands before it: where the Flask app is mounted."""
    app = flask.Flask(__name__)
    app.add_url_rule("/users/<int:number>", view_func=lambda number: str(number))
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        hooks = Hooks(collector.url, collector.api_key)
        app.before_request(lambda: hooks.flask_request_hook(INVALID_SPAN, flask.request.environ))

        @app.after_request
        def respond(response: flask.Response) -> flask.Response:
            hooks.flask_response_hook(INVALID_SPAN, response.status, list(response.headers.items()))
            return response

        mounted = DispatcherMiddleware(flask.Flask("none"), {prefix: app}) if prefix else app
        assert Client(mounted).get(f"{prefix}/users/7").status_code == 200
        assert hooks._agent is not None
        hooks._agent.shutdown(10)
        (trace,) = collector.traces
    assert hooks._guard.failures == 0
    assert trace["request"]["url"]["path"] == f"{prefix}/users/7"
    assert trace["request"]["url"]["endpointPath"] == prefix + "/users/{number}"


@pytest.mark.parametrize("request_", [wsgi, asgi])
def test_no_hook_raises(request_: Any) -> None:
    """Where a span or a carrier is broken, the instrumentation that calls the hook is not disturbed; it is counted."""
    with MemoryCollector() as collector:
        hooks = Hooks(collector.url, collector.api_key)
        request_(hooks, Broken())
        nothing: Any = None
        hooks.flask_request_hook(nothing, {})
        hooks.flask_response_hook(nothing, "no status", [])
        hooks.django_request_hook(nothing, nothing)
        hooks.django_response_hook(nothing, nothing, nothing)
        assert hooks._agent is not None
        hooks._agent.shutdown(10)
    assert hooks._guard.failures >= 4


def test_the_first_request_is_not_reported_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A middleware that saw the span before any hook ran reports it, also where the hooks see another carrier."""
    monkeypatch.setattr(tracing.joined, "watched", False)  # as in a new process
    span = TracerProvider().get_tracer("someone").start_span("GET /", kind=SpanKind.SERVER)
    with MemoryCollector() as collector:
        hooks = Hooks(collector.url, collector.api_key)
        tracing.bind(wsgi_exchange(), span)
        wsgi(hooks, span)
        assert hooks._agent is not None
        assert hooks._agent.stats().captured == 0
        hooks._agent.shutdown(10)


def test_chain() -> None:
    """Both are called in their order, nobody may be None, and the second runs whatever the first raises."""
    called: list[Any] = []

    def fails(*given: Any) -> None:
        called.append(("first", given))
        raise ValueError("the user's own")

    with pytest.raises(ValueError, match="own"):
        chain(fails, lambda *given: called.append(("second", given)))(1, 2)
    assert called == [("first", (1, 2)), ("second", (1, 2))]
    chain(None, called.append)("alone")
    chain(None, None)("nobody")
    assert called[2:] == ["alone"]
