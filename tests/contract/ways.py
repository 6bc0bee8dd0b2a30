"""The ways in: how the shop is built in each framework with the agent and without, and how a call is served there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings

import metlo_otel.django
from metlo_otel.agent import Agent
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.core.settings import read_settings
from metlo_otel.fastapi import ASGIMiddleware as FastAPIMiddleware
from metlo_otel.flask import MetloFlask
from metlo_otel.wsgi import WSGIMiddleware
from tests.contract import asgi_driver, wsgi_driver
from tests.contract.apps import asgi_app, django_site, fastapi_app, flask_app, starlette_app, wsgi_app
from tests.contract.http import Answer, Call

Options = dict[str, Any]
Built = tuple[Any, Agent | None]  # an app as a server loads it, and its agent where it has one
Build = Callable[[Options | None], Built]


@dataclass(frozen=True, slots=True)
class Way:
    """One way in. `build` makes the shop with the agent under these options, or without it for None.

    `user_of` is a GET_USER that finds the shop's customer; `routes` says whether this way knows route templates,
    `repeats` whether its responses can repeat a header, `propagates` whether a view's exception comes out of the app.
    """

    name: str
    interface: str
    build: Build
    user_of: Callable[[Any], object]
    routes: bool = True
    repeats: bool = True
    propagates: bool = False

    @property
    def is_async(self) -> bool:
        """Whether this way is ASGI."""
        return self.interface == "asgi"

    def serve(self, app: Any, call: Call) -> Answer:
        """Have the app serve one call, as a server would."""
        return asgi_driver.serve(app, call) if self.is_async else wsgi_driver.serve(app, call)


def flask_shop(options: Options | None) -> Built:
    app = flask_app.make()
    if options is None:
        return app, None
    names = dict(options)
    extension = MetloFlask(app, names.pop("METLO_HOST", None), names.pop("API_KEY", None), **names)
    return app, extension.agent


def wsgi_shop(options: Options | None) -> Built:
    app = wsgi_app.make()
    if options is None:
        return app, None
    middleware = WSGIMiddleware(app, **options)
    return middleware, middleware.agent


def asgi_shop(options: Options | None) -> Built:
    app = asgi_app.make()
    if options is None:
        return app, None
    middleware = ASGIMiddleware(app, **options)
    return middleware, middleware.agent


def starlette_shop(make: Callable[[], Any], middleware: type[ASGIMiddleware], options: Options | None) -> Built:
    """The middleware is made by the framework when it builds its stack, and found again in it."""
    app = make()
    if options is None:
        return app, None
    app.add_middleware(middleware, **options)
    app.middleware_stack = found = app.build_middleware_stack()
    while not isinstance(found, ASGIMiddleware):
        found = found.app
    return app, found.agent


def django_shop(handler: Callable[[], Any], views: str, options: Options | None) -> Built:
    """The handler reads MIDDLEWARE when it is made, the routes with each request: `served` holds those in force."""
    ours = ["metlo_otel.django.MetloDjango"] if options is not None else []
    middleware = [*ours, "tests.contract.apps.django_site.CustomerMiddleware"]
    with override_settings(MIDDLEWARE=middleware, METLO_CONFIG=options or {}):
        app = handler()
    agent = None if options is None else metlo_otel.django._AGENTS.get(read_settings(options))
    return Routed(app, f"tests.contract.apps.{views}"), agent


class Routed:
    """A Django handler under a URLconf of its own."""

    def __init__(self, handler: Any, urlconf: str) -> None:
        self._handler = handler
        self._urlconf = urlconf

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) == 3:
            return self._serve_async(*arguments)
        with self._routes():
            return self._handler(*arguments)

    async def _serve_async(self, *arguments: Any) -> None:
        with self._routes():
            await self._handler(*arguments)

    @contextmanager
    def _routes(self) -> Iterator[None]:
        with override_settings(ROOT_URLCONF=self._urlconf):
            yield


django_site.set_up()

WAYS = (
    Way("flask", "wsgi", flask_shop, flask_app.user_of),
    Way("wsgi", "wsgi", wsgi_shop, wsgi_app.user_of, routes=False, propagates=True),
    Way("django-wsgi", "wsgi", partial(django_shop, WSGIHandler, "django_sync"), django_site.user_of, repeats=False),
    Way("django-asgi", "asgi", partial(django_shop, ASGIHandler, "django_sync"), django_site.user_of, repeats=False),
    Way("django-async", "asgi", partial(django_shop, ASGIHandler, "django_async"), django_site.user_of, repeats=False),
    Way("asgi", "asgi", asgi_shop, asgi_app.user_of, routes=False, propagates=True),
    Way(
        "starlette",
        "asgi",
        partial(starlette_shop, starlette_app.make, ASGIMiddleware),
        starlette_app.user_of,
        propagates=True,
    ),
    Way(
        "fastapi",
        "asgi",
        partial(starlette_shop, fastapi_app.make, FastAPIMiddleware),
        fastapi_app.user_of,
        propagates=True,
    ),
)
