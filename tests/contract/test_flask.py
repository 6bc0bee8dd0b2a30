"""What only Flask has: its session, its own ways to change a response, and a `process_response` that others change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from metlo_otel.agent import _AGENTS, block_user, unblock_user
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector


@pytest.fixture
def collector() -> Iterator[MemoryCollector]:
    """One whose agents end with it: else their workers would log in another test that it is gone."""
    with MemoryCollector({"globalFullTraceCapture": True}) as made:
        yield made
        for agent in [agent for agent in _AGENTS if agent.settings.metlo_host == made.url]:
            agent.shutdown(1.0)


class Named(flask.Flask):
    """An app that processes its responses itself, and names the argument."""

    def process_response(self, *args: Any, **kwargs: Any) -> flask.Response:
        response: flask.Response = super().process_response(*args, **kwargs)
        response.headers["X-App"] = "own"
        return response

    def finalize_request(self, rv: Any, from_error_handler: bool = False) -> flask.Response:
        return self.process_response(response=self.make_response(rv))


def site(app: flask.Flask, collector: MemoryCollector, **options: Any) -> MetloFlask:
    """`app` with one page and the agent."""
    app.secret_key = "for the session"
    app.add_url_rule("/", view_func=lambda: "hello")
    return MetloFlask(app, collector.url, collector.api_key, **options)


def test_an_app_that_processes_its_responses_itself(collector: MemoryCollector) -> None:
    """Whatever it calls the argument, the response is its own, and what it put there is reported."""
    app = Named(__name__)
    agent = site(app, collector).agent
    assert app.test_client().get("/").headers["X-App"] == "own"
    assert agent is not None
    assert agent.flush(10)
    (trace,) = collector.traces
    assert {"name": "X-App", "value": "own"} in trace["response"]["headers"]


def test_a_class_that_is_patched_later(collector: MemoryCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """As instrumentations do: their `process_response` is called too."""
    app = flask.Flask(__name__)
    site(app, collector)
    seen: list[flask.Response] = []
    original = flask.Flask.process_response

    def patched(self: flask.Flask, *args: Any) -> flask.Response:
        seen.append(original(self, *args))
        return seen[-1]

    monkeypatch.setattr(flask.Flask, "process_response", patched)
    app.test_client().get("/")
    assert len(seen) == 1


def test_what_get_user_puts_into_the_session_is_saved(collector: MemoryCollector) -> None:
    """GET_USER is asked while the session can still be written."""
    app = flask.Flask(__name__)
    site(app, collector, get_user=lambda _request: flask.session.setdefault("visitor", "v-1"))
    client = app.test_client()
    assert "session=" in client.get("/").headers["Set-Cookie"]


def test_a_rejection_whose_session_cannot_be_saved(collector: MemoryCollector) -> None:
    """The app's span is told of the rejection all the same, though no response of Flask's comes of it."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    app = flask.Flask(__name__)

    @app.after_request
    def remember(response: flask.Response) -> flask.Response:
        flask.session["last"] = object()  # which is no JSON
        return response

    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)  # type: ignore[no-untyped-call]  # contrib types it not
    site(app, collector, get_user=lambda request: request.headers.get("X-User"))
    block_user("bob", 60)
    try:
        assert app.test_client().get("/", headers={"X-User": "bob"}).status_code == 500
    finally:
        unblock_user("bob")
    (span,) = memory.get_finished_spans()
    assert (span.attributes or {})["metlo.blocked"] is True
