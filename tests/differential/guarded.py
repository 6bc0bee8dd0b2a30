"""Each app, plain and under the agent with a rule for every place; both behind one door for real servers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.flask import MetloFlask
from metlo_otel.wsgi import WSGIMiddleware
from tests.contract.apps import django_site
from tests.differential.apps import flask_echo, raw_echo, starlette_echo
from tests.differential.message import HEADER, METHOD, NAME, PATH, WORD

DOOR = b"X-Door"  # the header that tells a real server's process which of its two apps is asked
GUARDED = b"guarded"

RULES = [
    {"name": "path", "block": True, "path": f"/{PATH}"},
    {"name": "method", "block": True, "method": METHOD},
    {"name": "parameter", "block": True, "parameter": {NAME: WORD}},
    {"name": "header", "block": True, "header": {HEADER: WORD}},
    {"name": "cookie", "block": True, "header": {"Cookie": {"contains": WORD}}},
    {"name": "body", "block": True, "body": {"contains": WORD}},
]


def options() -> dict[str, Any]:
    """The settings of a guarded app: it decides, and reports nothing."""
    return {
        "metlo_host": "http://127.0.0.1:9",
        "api_key": secrets.token_hex(8),
        "rules": RULES,
        "detection": "block",
        "excluded_urls": ["."],
        "config_cache": "off",
        "rate_limit_storage": "memory",
        "log_level": "critical",
    }


def flask(guarded: bool) -> Any:
    app = flask_echo.make()
    if guarded:
        MetloFlask(app, **options())
    return app


def wsgi(guarded: bool) -> Any:
    return WSGIMiddleware(raw_echo.wsgi, **options()) if guarded else raw_echo.wsgi


def asgi(guarded: bool) -> Any:
    return ASGIMiddleware(raw_echo.asgi, **options()) if guarded else raw_echo.asgi


def starlette(make: Callable[[], Any], guarded: bool) -> Any:
    app = make()
    if guarded:
        app.add_middleware(ASGIMiddleware, **options())
    return app


def django(handler: Callable[[], Any], guarded: bool) -> Any:
    django_site.set_up()
    ours = ["metlo_otel.django.MetloDjango"] if guarded else []
    middleware = [*ours, "tests.differential.apps.django_echo.routed"]
    with override_settings(MIDDLEWARE=middleware, METLO_CONFIG=options()):
        return handler()


APPS: dict[str, tuple[str, Callable[[bool], Any]]] = {
    "flask": ("wsgi", flask),
    "django-wsgi": ("wsgi", partial(django, WSGIHandler)),
    "django-asgi": ("asgi", partial(django, ASGIHandler)),
    "starlette": ("asgi", partial(starlette, starlette_echo.make)),
    "fastapi": ("asgi", partial(starlette, starlette_echo.make_fastapi)),
    "wsgi": ("wsgi", wsgi),
    "asgi": ("asgi", asgi),
}


@lru_cache(len(APPS))
def pair(name: str) -> tuple[Any, Any]:
    """An app without and with the agent."""
    make = APPS[name][1]
    return make(False), make(True)


def wsgi_door(name: str) -> Any:
    """Both under WSGI."""
    plain, guarded = pair(name)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        asked = environ.get("HTTP_X_DOOR") == GUARDED.decode()
        return (guarded if asked else plain)(environ, start_response)

    return app


def asgi_door(name: str) -> Any:
    """Both under ASGI."""
    plain, guarded = pair(name)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked = (DOOR.lower(), GUARDED) in [(name, value) for name, value in scope.get("headers", ())]
        await (guarded if asked else plain)(scope, receive, send)

    return app


def __getattr__(name: str) -> Any:
    """What servers load: `tests.differential.guarded:app_django_wsgi`."""
    known = name.removeprefix("app_").replace("_", "-")
    if not name.startswith("app_") or known not in APPS:
        raise AttributeError(name)
    return wsgi_door(known) if APPS[known][0] == "wsgi" else asgi_door(known)
