"""What apps copy, pickle or keep of a request and its response has nothing of ours in it, on every way in."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

import metlo_otel.django
from metlo_otel.agent import _AGENTS
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.capture.asgi_types import Receive, Scope, Send
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware
from tests.contract import asgi_driver, wsgi_driver
from tests.contract.http import Call, post

BODY = b"0123456789" * 30
Options = dict[str, Any]
Seen = dict[str, dict[str, str]]  # by the object's name and the way of copying it: what came of it

# By what is it copied; of pickles also their text is looked at, which must make sense where we are not installed.
WAYS_TO_COPY: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(_unmarked(pickle.dumps(thing))),
}
SEEN: Seen = {}


def _unmarked(pickled: bytes) -> bytes:
    assert b"metlo_otel" not in pickled.replace(b"metlo_otel.exchange", b""), pickled
    return pickled


def look(**objects: Any) -> None:
    """Note what comes of copying these."""
    for name, thing in objects.items():
        SEEN[name] = {way: _outcome(way, thing) for way in WAYS_TO_COPY}


def _outcome(way: str, thing: Any) -> str:
    try:
        made = WAYS_TO_COPY[way](thing)
    except Exception as problem:  # what cannot be copied without us need not be with us
        return type(problem).__name__
    return f"{_kind(made)} {_shape(made, whole=way != 'copy')}"


def _kind(made: Any) -> str:
    """What a copy is, by what it is good for: a body that was read ahead is another kind of stream."""
    if hasattr(made, "readline") and not isinstance(made, HttpRequest):
        return "a stream"
    return "a function" if callable(made) else type(made).__name__


def _shape(made: Any, whole: bool) -> object:
    """What a copy is good for. One that is not `whole` shares what is within with what it was copied from."""
    if isinstance(made, dict):
        within = {name: value for name, value in made.items() if name != "metlo_otel.exchange"}
        return {name: _kind(value) for name, value in within.items()} if whole else list(within)
    if isinstance(made, HttpResponse):
        return made.content, len(vars(made)["_resource_closers"])
    if isinstance(made, HttpRequest):
        return sorted(name for name in vars(made) if name != "close")
    if whole and isinstance(made, StreamingHttpResponse):
        return type(vars(made)["_iterator"]), list(made)
    return made.read(len(BODY)) if whole and hasattr(made, "read") else None


# The apps


def flask_app() -> flask.Flask:
    app = flask.Flask("copies")
    app.secret_key = "tests"

    @app.post("/")
    def view() -> str:
        flask.g.thing = [1]
        flask.session["a"] = 1
        environ = flask.request.environ
        plain = {name: value for name, value in environ.items() if not name.startswith("werkzeug.")}
        look(environ=plain, input=environ["wsgi.input"], stream=flask.request.stream)
        look(g=vars(flask.g._get_current_object()), session=dict(flask.session))
        return "done"

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        look(response=response)
        return response

    return app


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    look(environ=environ, input=environ["wsgi.input"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    look(scope=scope, receive=receive, send=send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def starlette_view(request: Request) -> StarletteResponse:
    response = PlainTextResponse("done")
    plain = {name: request.scope[name] for name in request.scope if name not in ("app", "router", "endpoint", "route")}
    plain = {name: value for name, value in plain.items() if not name.startswith("fastapi")}
    look(scope=plain, receive=request.receive, send=request._send, response=response, state=request.state)
    return response


def starlette_app() -> Starlette:
    return Starlette(routes=[Route("/", starlette_view, methods=["POST"])])


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.post("/")(starlette_view)
    return app


def django_view(request: HttpRequest) -> HttpResponse:
    look(request=request, META=request.META, stream=request._stream)
    return HttpResponse("done")


def streaming_view(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"a", b"b"])


urlpatterns = [path("", django_view), path("stream", streaming_view)]


def copying(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A middleware that copies what comes out of those further in, as Django's caches do."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        look(response=response, request_after=request)
        return response

    return middleware


# The ways in


def of_flask(options: Options | None) -> Any:
    app = flask_app()
    if options is not None:
        MetloFlask(app, **options)
    return app


def of_starlette(make: Callable[[], Any]) -> Callable[[Options | None], Any]:
    def build(options: Options | None) -> Any:
        app = make()
        if options is not None:
            app.add_middleware(ASGIMiddleware, **options)
        return app

    return build


def of_django(handler: Callable[[], Any]) -> Callable[[Options | None], Any]:
    def build(options: Options | None) -> Any:
        ours = ["metlo_otel.django.MetloDjango"] if options is not None else []
        with override_settings(MIDDLEWARE=[f"{__name__}.copying", *ours], METLO_CONFIG=options or {}):
            return handler()

    return build


WAYS: dict[str, tuple[Callable[[Options | None], Any], Any]] = {
    "flask": (of_flask, wsgi_driver),
    "wsgi": (lambda options: wsgi_app if options is None else WSGIMiddleware(wsgi_app, **options), wsgi_driver),
    "asgi": (lambda options: asgi_app if options is None else ASGIMiddleware(asgi_app, **options), asgi_driver),
    "starlette": (of_starlette(starlette_app), asgi_driver),
    "fastapi": (of_starlette(fastapi_app), asgi_driver),
    "django-wsgi": (of_django(WSGIHandler), wsgi_driver),
    "django-asgi": (of_django(ASGIHandler), asgi_driver),
}
RULE = {"name": "r", "block": True, "body": {"contains": "no such thing"}}


def seen_by(build: Callable[[Options | None], Any], driver: Any, options: Options | None, call: Call) -> Seen:
    SEEN.clear()
    with override_settings(ROOT_URLCONF=__name__):
        answer = driver.serve(build(options), call)
    assert answer.status == 200, (answer.raised, answer.body)
    return dict(SEEN)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # half-copied files, of Python
@pytest.mark.parametrize("rules", [[], [RULE]], ids=["plain", "body-rule"])
@pytest.mark.parametrize("name", WAYS)
def test_copies_are_those_without_us(name: str, rules: list[Any], collector: MemoryCollector) -> None:
    """Whatever an app can copy or pickle without us it can with us, and what comes of it is the same."""
    options = {"METLO_HOST": collector.url, "API_KEY": collector.api_key, "RULES": rules}
    build, driver = WAYS[name]
    calls = [post("/", BODY)] + ([post("/stream", BODY)] if name.startswith("django") else [])
    for call in calls:
        assert seen_by(build, driver, options, call) == seen_by(build, driver, None, call)
    gc.collect()  # files that were copied and are not closed go now, not in another test


@pytest.fixture(autouse=True)
def agents(collector: MemoryCollector) -> Iterator[None]:
    """Ends the agents that a test makes, before their collector goes."""
    before = set(_AGENTS)
    yield
    for agent in set(_AGENTS) - before:
        agent.shutdown(1.0)
    for settings in [settings for settings, agent in metlo_otel.django._AGENTS.items() if agent not in before]:
        del metlo_otel.django._AGENTS[settings]
