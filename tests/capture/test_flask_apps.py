"""A Flask app with the agent: made, forgotten, left by websockets, let go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from typing import Any

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, EnvironBuilder

from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware


@pytest.mark.parametrize("forgotten", ["http://127.0.0.1:9", 7])
@pytest.mark.parametrize("kind", [MetloFlask, WSGIMiddleware])
def test_an_app_that_was_forgotten(kind: Any, forgotten: Any) -> None:
    """The error says what comes first, and shows neither host nor key."""
    with pytest.raises(TypeError, match=r"takes the \w+ app first") as caught:
        kind(forgotten, "a-secret-key")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("mode", ["gunicorn", "eventlet", "other"])
def test_a_websocket_of_flask_sock_has_no_error(mode: str) -> None:
    """It takes the connection from the server and speaks for itself: 101 is what the client got."""
    app = flask.Flask(__name__)

    class Taken(flask.Response):
        """As flask-sock's, which is made once the websocket has ended."""

        def __call__(self, *_: Any) -> Iterable[bytes]:
            if mode == "gunicorn":
                raise StopIteration
            return []

    app.add_url_rule("/ws", view_func=lambda: Taken(), websocket=True)
    with MemoryCollector() as collector:
        agent = MetloFlask(app, collector.url, collector.api_key).agent
        assert agent is not None
        environ = EnvironBuilder("/ws", headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")]).get_environ()
        try:
            assert list(app(environ, lambda *_: lambda _data: None)) == []
        except StopIteration:
            assert mode == "gunicorn"
        agent.shutdown()
        (trace,) = collector.traces
    assert trace["response"]["status"] == 101


def app_of(change: bool) -> flask.Flask:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "hello")
    if change:
        MetloFlask(
            app, "http://127.0.0.1:9", "k", config_cache="off", rules=[{"name": "n", "block": True, "path": "/no"}]
        )
    return app


@pytest.mark.parametrize("ours", [False, True])
def test_an_app_is_freed_when_nobody_holds_it(ours: bool) -> None:
    """Flask's own promise: at reference count zero, not when Python looks for cycles."""
    gc.disable()
    try:
        app = app_of(ours)
        gone = weakref.ref(app)
        assert app.test_client().get("/").data == b"hello"
        del app
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("ours", [False, True])
def test_a_server_may_hold_the_inner_app_alone(ours: bool) -> None:
    """`ProxyFix(app.wsgi_app)` is all that is left of an app in a factory: it serves on."""

    def factory() -> Any:
        return ProxyFix(app_of(ours).wsgi_app)

    served = factory()
    gc.collect()
    assert Client(served).get("/").data == b"hello"
