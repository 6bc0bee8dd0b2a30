"""Routes whose last part takes a whole path, as frameworks have them, on the wire."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.export.wire import trace_of
from metlo_otel.flask import MetloFlask
from metlo_otel.reading.record import read_exchange
from tests.contract import asgi_driver, wsgi_driver
from tests.contract.http import get


def of_flask() -> Any:
    app = flask.Flask("files")
    app.add_url_rule("/files/<path:name>", view_func=lambda name: name)
    return app, MetloFlask(app, "http://127.0.0.1:9", "k", CONFIG_CACHE="off").agent, wsgi_driver


def of_starlette() -> Any:
    async def view(request: Any) -> PlainTextResponse:
        return PlainTextResponse("x")

    app = Starlette(routes=[Route("/files/{name:path}", view)])
    middleware = ASGIMiddleware(app, "http://127.0.0.1:9", "k", CONFIG_CACHE="off")
    return middleware, middleware.agent, asgi_driver


@pytest.mark.parametrize("make", [of_flask, of_starlette])
def test_a_route_over_several_segments(make: Callable[[], Any]) -> None:
    """It is told as the contract has it, whatever number of segments it took."""
    app, agent, driver = make()
    told: list[Exchange] = []
    agent._pipeline.put = told.append
    try:
        assert driver.serve(app, get("/files/a/b/c.txt")).status == 200
    finally:
        agent.shutdown(0)
    guard = Guard(RateLimitedLog(logging.getLogger("metlo_otel")))
    trace = trace_of(read_exchange(told[0], agent.settings, guard), AgentConfig(), agent.settings)
    assert trace["request"]["url"]["endpointPath"] == "/files/{name}"
