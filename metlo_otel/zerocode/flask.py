"""Flask apps: the agent is attached at their first request, unless the app has done it by then."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import flask

from metlo_otel.capture.flask_app import put_in_front
from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp
from metlo_otel.core.guard import Guard
from metlo_otel.flask import MetloFlask
from metlo_otel.zerocode.install import once


def patch(module: ModuleType, options: Mapping[str, Any], guard: Guard) -> None:
    """Have every app made from now on, of subclasses too, attach the agent."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def init(self: flask.Flask, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            put_in_front(self, lambda plain: AtFirstRequest(self, plain, options, guard))

        return init

    once(module.Flask, "__init__", make)


class AtFirstRequest:
    """Serves `wsgi_app`, with the agent where `app` has none of its own at its first request."""

    def __init__(self, app: flask.Flask, wsgi_app: WSGIApp, options: Mapping[str, Any], guard: Guard) -> None:
        self._app = weakref.ref(app)
        self._plain = wsgi_app
        self._options = options
        self._guard = guard
        self._lock = threading.Lock()
        self._serve: WSGIApp | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return (self._serve or self._decide())(environ, start_response)

    def _decide(self) -> WSGIApp:
        with self._lock:
            if self._serve is None:
                self._serve = self._guard.run(self._attached) or self._plain
        return self._serve

    def _attached(self) -> WSGIApp:
        app = self._app()
        if app is None or "metlo_otel" in app.extensions:
            return self._plain
        return MetloFlask(**self._options).attach(app, self._plain)
