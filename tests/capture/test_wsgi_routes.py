"""The route of a WSGI request, with all of the prefix under which the app is mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bottle  # type: ignore[import-untyped]  # it has no types
import flask
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from metlo_otel.capture.wsgi import WSGIApp
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware

Make = Callable[[str, str], tuple[WSGIApp, Any]]


def shop() -> flask.Flask:
    """Routes of all kinds, in a blueprint with a prefix among them."""
    app = flask.Flask(__name__)
    parts = flask.Blueprint("parts", __name__, url_prefix="/parts")
    parts.add_url_rule("/<int:number>", view_func=lambda number: str(number))
    app.register_blueprint(parts)
    app.add_url_rule("/", view_func=lambda: "home", endpoint="home")
    app.add_url_rule("/users/<name>", view_func=lambda name: name, endpoint="user")
    app.add_url_rule("/dir/<name>/", view_func=lambda name: name, endpoint="dir")
    app.add_url_rule("/error", view_func=lambda: flask.abort(418), endpoint="error")
    return app


def nobody(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 NOT FOUND", [])
    return [b""]


def alone(host: str, key: str) -> tuple[WSGIApp, Any]:
    app = shop()
    return app, MetloFlask(app, host, key).agent


def dispatched(host: str, key: str) -> tuple[WSGIApp, Any]:
    """The agent in the app that is mounted."""
    app = shop()
    agent = MetloFlask(app, host, key).agent
    return DispatcherMiddleware(nobody, {"/api/v1": app}), agent


def around_a_dispatcher(host: str, key: str) -> tuple[WSGIApp, Any]:
    """The agent around all that is mounted."""
    middleware = WSGIMiddleware(DispatcherMiddleware(nobody, {"/api/v1": shop()}), host, key)
    return middleware, middleware.agent


def behind_a_proxy(host: str, key: str) -> tuple[WSGIApp, Any]:
    """A proxy that keeps a prefix for itself and tells of it: the app is asked for the rest, which is the path."""
    app = shop()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]  # Flask's own advice
    return app, MetloFlask(app, host, key).agent


def in_bottle(host: str, key: str) -> tuple[WSGIApp, Any]:
    app = bottle.Bottle()
    app.route("/users/<name:re:[a-z]+>", callback=lambda name: name)
    middleware = WSGIMiddleware(app, host, key)
    return DispatcherMiddleware(nobody, {"/api/v1": middleware}), middleware.agent


def telling(host: str, key: str) -> tuple[WSGIApp, Any]:
    """An app of another framework, which tells the route that it has found."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["path_template"] = "/users/{name:str}"
        start_response("200 OK", [])
        return [b""]

    middleware = WSGIMiddleware(app, host, key)
    return DispatcherMiddleware(nobody, {"/api/v1": middleware}), middleware.agent


CASES: list[tuple[Make, str, str, str | None]] = [
    (alone, "GET", "/users/ann", "/users/{name}"),
    (alone, "GET", "/parts/7", "/parts/{number}"),
    (alone, "GET", "/error", "/error"),
    (alone, "DELETE", "/users/ann", "/users/{name}"),
    (alone, "GET", "/dir/etc", "/dir/{name}"),
    (alone, "GET", "/nothing", None),
    (dispatched, "GET", "/api/v1/users/ann", "/api/v1/users/{name}"),
    (dispatched, "GET", "/api/v1/parts/7", "/api/v1/parts/{number}"),
    (dispatched, "GET", "/api/v1/", "/api/v1/"),
    (dispatched, "GET", "/api/v1", "/api/v1"),
    (dispatched, "DELETE", "/api/v1/users/ann", "/api/v1/users/{name}"),
    (dispatched, "GET", "/api/v1/users/zo%C3%A9", "/api/v1/users/{name}"),
    (around_a_dispatcher, "GET", "/api/v1/users/ann", "/api/v1/users/{name}"),
    (around_a_dispatcher, "GET", "/nothing", None),
    (behind_a_proxy, "GET", "/users/ann", "/users/{name}"),
    (in_bottle, "GET", "/api/v1/users/ann", "/api/v1/users/{name}"),
    (telling, "GET", "/api/v1/users/ann", "/api/v1/users/{name}"),
]


@pytest.mark.parametrize(("make", "method", "path", "route"), CASES)
def test_the_whole_route_is_told(make: Make, method: str, path: str, route: str | None) -> None:
    """Also of what Flask answers by itself: another method, or a slash that is missing."""
    with MemoryCollector() as collector:
        app, agent = make(collector.url, collector.api_key)
        Client(app).open(path, method=method, headers={"X-Forwarded-Prefix": "/proxied"})
        agent.shutdown()
        (trace,) = collector.traces
    assert trace["request"]["url"].get("endpointPath") == route
