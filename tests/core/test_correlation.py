"""Log lines that are about one exchange say which: in words, and as attributes for a backend that keeps logs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_trace_id
from werkzeug.local import LocalProxy

from metlo_otel.core.correlation import ids_of
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.tracing import bind
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from tests.export.exchanges import wsgi_exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """One that has joined a span of the app's."""
    made = wsgi_exchange()
    made.marks = True
    with TracerProvider().get_tracer("test").start_as_current_span("GET /") as span:
        bind(made, span)
        yield made


def _fail(*_: Any) -> None:
    raise RuntimeError("never-in-the-log")


def _run(guard: Guard, exchange: Exchange) -> None:
    guard.run(_fail, "other", exchange)


def _serve(guard: Guard, exchange: Exchange) -> None:
    token = current_exchange.set(exchange)
    guard.run(_fail)
    current_exchange.reset(token)


def _note(guard: Guard, exchange: Exchange) -> None:
    guard.failed(exchange.close, RuntimeError("never-in-the-log"))


@pytest.mark.parametrize("way", [_run, _serve, _note])
def test_a_failure_says_in_which_exchange(
    way: Callable[[Guard, Exchange], None], exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """Given to what failed, being served, or the one whose method failed."""
    assert exchange.id is not None
    assert exchange.span is not None
    trace = format_trace_id(exchange.span.trace_id)
    way(Guard(RateLimitedLog(logging.getLogger("metlo_otel"))), exchange)
    (line,) = caplog.records
    assert line.getMessage().endswith(f"the app goes on (exchange {exchange.id}, trace {trace})")
    assert (line.__dict__["metlo.exchange.id"], line.__dict__["metlo.trace.id"]) == (exchange.id, trace)
    assert "never-in-the-log" not in caplog.text


def test_what_is_about_none_says_none(caplog: pytest.LogCaptureFixture) -> None:
    """No empty words, and nothing is asked of what belongs to the app."""
    Guard(RateLimitedLog(logging.getLogger("metlo_otel"))).run(_fail, LocalProxy(_fail))
    (line,) = caplog.records
    assert line.getMessage().endswith("the app goes on")
    assert "metlo.exchange.id" not in line.__dict__
    assert ids_of() == {}


def test_what_fails_in_the_worker_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The line about an exchange that could not be read has the trace of the app's span."""
    monkeypatch.setattr("metlo_otel.export.pipeline.read_exchange", _fail)
    with MemoryCollector() as collector:
        app = Flask("shop")
        metlo = MetloFlask(app, collector.url, "k", config_cache="off")
        assert metlo.agent is not None
        with TracerProvider().get_tracer("test").start_as_current_span("GET /") as span:
            app.test_client().get("/")
            metlo.agent.flush(5)
            metlo.agent.shutdown()
    shown = format_trace_id(span.get_span_context().trace_id)
    assert any(f"trace {shown})" in line.getMessage() for line in caplog.records)
