"""Where in a framework a request is rejected: what is outside sees an answer like any other, what is inside nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.test.utils import override_settings
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

import metlo_otel.agent
import metlo_otel.django
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from tests.contract import asgi_driver, wsgi_driver
from tests.contract.apps import starlette_app
from tests.contract.apps.script import SCRIPT
from tests.contract.http import Answer, get, post

RULES = [
    {"name": "no ignore", "block": True, "path": "/ignore"},
    {"name": "no attack", "block": True, "body": {"contains": "attack"}},
]


@pytest.fixture
def options(collector: MemoryCollector) -> Iterator[dict[str, Any]]:
    """An agent's settings; the agents that have them are ended."""
    SCRIPT.forget()
    yield {"METLO_HOST": collector.url, "API_KEY": collector.api_key, "RULES": RULES, "CONFIG_CACHE": "off"}
    for agent in list(metlo_otel.agent._AGENTS):
        if agent.settings.metlo_host == collector.url:
            agent.shutdown(1.0)
            metlo_otel.django._AGENTS.pop(agent.settings, None)


def test_flask_hooks(options: dict[str, Any]) -> None:
    """No before_request hook of the app runs, whenever it was registered; after_request and teardown hooks do."""
    app = flask.Flask("hooked")
    blueprint = flask.Blueprint("b", "b")
    blueprint.before_request(lambda: SCRIPT.events.append("blueprint"))
    blueprint.add_url_rule("/ignore", view_func=lambda: "ran")
    app.before_request(lambda: SCRIPT.events.append("early"))
    MetloFlask(app, **{name.lower().removeprefix("metlo_"): value for name, value in options.items()})
    app.before_request(lambda: SCRIPT.events.append("late"))
    app.register_blueprint(blueprint)

    @app.after_request
    def cors(response: flask.Response) -> flask.Response:
        SCRIPT.events.append(f"after {response.status_code}")
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    app.teardown_request(lambda _: SCRIPT.events.append("teardown"))
    answer = wsgi_driver.serve(app, get("/ignore"))
    assert (answer.status, answer.header("access-control-allow-origin")) == (403, ["*"])
    assert SCRIPT.events == ["after 403", "teardown"]
    assert wsgi_driver.serve(app, get("/nowhere")).status == 404
    assert SCRIPT.events[2:] == ["early", "late", "after 404", "teardown"]


def test_starlette_cors(options: dict[str, Any]) -> None:
    """A CORSMiddleware outside of ours puts its headers on the rejection; what is inside does not run."""
    app = Starlette(routes=[Route("/ignore", starlette_app.ignore)])
    app.add_middleware(starlette_app.Customers)
    app.add_middleware(ASGIMiddleware, **options)
    app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"])
    answer = asgi_driver.serve(app, get("/ignore", ("Origin", "https://shop.example"), ("X-Customer", "eve")))
    assert (answer.status, answer.body) == (403, b'{"error": "forbidden"}')
    assert answer.header("access-control-allow-origin") == ["https://shop.example"]
    assert SCRIPT.events == []


def outer(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A middleware outside of ours that reads the body, and puts a header on every response."""

    def middleware(request: HttpRequest) -> Any:
        SCRIPT.asked.append(bytes(request.body))
        response = get_response(request)
        SCRIPT.events.append(f"outer {response.status_code} {len(response.content)}")
        response["Access-Control-Allow-Origin"] = "*"
        return response

    return middleware


def inner(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A middleware inside of ours."""

    def middleware(request: HttpRequest) -> Any:
        SCRIPT.events.append("inner")
        return get_response(request)

    return middleware


DJANGO = {
    "wsgi": (WSGIHandler, wsgi_driver.serve),
    "asgi": (ASGIHandler, asgi_driver.serve),
}


@pytest.fixture(params=DJANGO)
def serve_django(request: pytest.FixtureRequest, options: dict[str, Any]) -> Callable[..., Answer]:
    """Serves a call by a Django site with a middleware on either side of ours."""
    handler, serve = DJANGO[request.param]
    paths = [f"{__name__}.outer", "metlo_otel.django.MetloDjango", f"{__name__}.inner"]

    def served(call: Any, **more: Any) -> Answer:
        with override_settings(
            MIDDLEWARE=paths, METLO_CONFIG={**options, **more}, ROOT_URLCONF="tests.contract.apps.django_sync"
        ):
            return serve(handler(), call)  # type: ignore[no-any-return, operator]  # one of two pairs

    return served


def test_django_middlewares(serve_django: Callable[..., Answer]) -> None:
    """A middleware outside sees an HttpResponse as of a view; one inside, and the view, see nothing."""
    answer = serve_django(get("/ignore"))
    assert (answer.status, answer.header("access-control-allow-origin")) == (403, ["*"])
    assert SCRIPT.events == ["outer 403 22"]


def test_django_body_that_was_read_already(serve_django: Callable[..., Answer]) -> None:
    """Rules see a body that a middleware outside of ours has read, and the view reads what it would."""
    assert serve_django(post("/echo", b"an attack", "text/plain")).status == 403
    answer = serve_django(post("/echo", b"no harm", "text/plain"))
    assert (answer.status, b"no harm" in answer.body) == (200, True)
    assert SCRIPT.asked == [b"an attack", b"no harm"]


def template_response(text: str) -> Callable[[HttpRequest], Any]:
    template = engines["django"].from_string(text)
    return lambda request: SimpleTemplateResponse(template, {"path": request.path}, status=451)


TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]


def test_django_template_responses(serve_django: Callable[..., Answer], caplog: pytest.LogCaptureFixture) -> None:
    """A response with a template is rendered; one whose template fails gives way to the default answer."""
    with override_settings(TEMPLATES=TEMPLATES):
        answer = serve_django(get("/ignore"), REJECT_RESPONSE=template_response("No {{ path }} for you"))
        assert (answer.status, answer.body) == (451, b"No /ignore for you")
        caplog.set_level(logging.ERROR, logger="metlo_otel")
        answer = serve_django(get("/ignore"), REJECT_RESPONSE=template_response("{% include path %}"))
        assert (answer.status, answer.body) == (403, b'{"error": "forbidden"}')
    assert "REJECT_RESPONSE gave SimpleTemplateResponse" in caplog.text
