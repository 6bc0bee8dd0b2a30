"""A Flask answer that is noted from memory is the one that goes out, and none is noted that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import EnvironBuilder, run_wsgi_app

from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp
from metlo_otel.core.current import CARRIED
from metlo_otel.core.exchange import Exchange
from metlo_otel.flask import MetloFlask

Change = Callable[[flask.Flask], object]


def serve(change: Change, method: str = "GET") -> tuple[bytes, Exchange]:
    """What an app that says hello sends when `change` has been made to it, and the exchange of that."""
    app = flask.Flask(__name__)
    app.secret_key = "for sessions"
    app.add_url_rule("/", view_func=lambda: "hello")
    kept = change(app)
    agent = MetloFlask(app, "http://127.0.0.1:9", "k", CONFIG_CACHE="off").agent
    assert agent is not None
    served: list[Environ] = []

    def noting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        served.append(environ)
        return app(environ, start_response)

    try:
        chunks, _, _ = run_wsgi_app(noting, EnvironBuilder(method=method).get_environ(), buffered=True)
        sent = b"".join(chunks)
    except LookupError:
        sent = b""
    agent.shutdown(0)
    del kept
    exchange: Exchange = served[0][CARRIED]
    assert exchange.on_close is None
    return sent, exchange


def within(middleware: Callable[[WSGIApp], WSGIApp]) -> Change:
    """Puts a middleware between Flask and us."""

    def change(app: flask.Flask) -> None:
        app.wsgi_app = middleware(app.wsgi_app)  # type: ignore[method-assign,assignment]  # Flask's own advice

    return change


def loud(app: WSGIApp) -> WSGIApp:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return [chunk.upper() for chunk in app(environ, start_response)]

    return middleware


def loud_by_and_by(app: WSGIApp) -> WSGIApp:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        for chunk in app(environ, start_response):
            yield chunk.upper()

    return middleware


def as_get(app: WSGIApp) -> WSGIApp:
    return lambda environ, start_response: app({**environ, "REQUEST_METHOD": "GET"}, start_response)


def as_unchanged(app: WSGIApp) -> WSGIApp:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return app(environ, lambda _status, headers, *_: start_response("304 NOT MODIFIED", headers))

    return middleware


def loud_by_signal(app: flask.Flask) -> object:
    def finished(_sender: Any, response: flask.Response, **_: Any) -> None:
        response.set_data(b"HELLO")

    flask.request_finished.connect(finished, app)
    return finished  # signals keep nobody alive


class Unsaved(SecureCookieSessionInterface):
    """Sessions that cannot be saved the first time."""

    tries = 0

    def save_session(self, *_: Any) -> None:
        self.tries += 1
        if self.tries == 1:
            raise LookupError


def unsaved(app: flask.Flask) -> None:
    app.session_interface = Unsaved()
    app.config["PROPAGATE_EXCEPTIONS"] = True


def unsaved_then_streamed(app: flask.Flask) -> None:
    app.session_interface = Unsaved()
    length = {"Content-Length": "5"}
    app.register_error_handler(500, lambda _: flask.Response(iter([b"error"]), 500, headers=length))


def torn_down(app: flask.Flask) -> None:
    @app.teardown_request
    def teardown(_problem: BaseException | None) -> None:
        raise LookupError


@pytest.mark.parametrize(
    ("change", "method", "sent"),
    [
        (lambda _: None, "GET", b"hello"),
        (within(loud), "GET", b"HELLO"),
        (within(loud_by_and_by), "GET", b"HELLO"),
        (loud_by_signal, "GET", b"HELLO"),
        (within(as_get), "HEAD", b"hello"),
        (within(as_unchanged), "GET", b"hello"),
        (unsaved_then_streamed, "GET", b"error"),
    ],
    ids=["as it is", "list", "generator", "signal", "HEAD as GET", "304", "stream in its place"],
)
def test_what_goes_out_is_told(change: Change, method: str, sent: bytes) -> None:
    """Whatever changes an answer after its hooks, also to one of the same length, its bytes are told once, as sent."""
    found, exchange = serve(change, method)
    assert (found, exchange.response_body.content(), exchange.response_body.size) == (sent, sent, len(sent))


def test_what_werkzeug_drops_is_told() -> None:
    """The view's answer to HEAD is told, as with frameworks that leave it to the server to drop it."""
    found, exchange = serve(lambda _: None, "HEAD")
    assert (found, exchange.response_body.content()) == (b"", b"hello")


@pytest.mark.parametrize("change", [unsaved, torn_down])
def test_an_answer_that_is_not_sent_is_not_told(change: Change) -> None:
    """An exception that leaves Flask after the view has answered is the server's 500, without that answer's body."""
    _, exchange = serve(change)
    assert (exchange.status, list(exchange.response_headers), exchange.response_body.size) == (500, [], 0)
