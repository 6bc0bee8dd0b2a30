"""Django: the agent is in the list of middlewares that a handler loads, while the settings stay as they are."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest

from metlo_otel.contrib.django import PATH as OPENTELEMETRY
from metlo_otel.core.guard import Guard
from metlo_otel.core.logs import NAME
from metlo_otel.core.settings import SettingsError
from metlo_otel.django import MetloDjango, ours
from metlo_otel.zerocode.install import once

_loading = threading.RLock()


def patch(module: Any, options: Mapping[str, Any], guard: Guard) -> None:
    """Have every handler that loads its middlewares from now on have the agent among them."""
    ZeroDjango.defaults = options
    MetloDjango.stand_in = ZeroDjango

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_middleware(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _loading:
                given = module.settings
                module.settings = guard.run(_with_ours, given) or given
                try:
                    return original(self, *args, **kwargs)
                finally:
                    module.settings = given

        return load_middleware

    once(module.BaseHandler, "load_middleware", make)


class _View:
    """The settings as the module that loads the middlewares sees them meanwhile."""

    def __init__(self, settings: Any, middleware: Sequence[str]) -> None:
        self._settings = settings
        self.MIDDLEWARE = middleware

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)


def _with_ours(settings: Any) -> _View | None:
    """The settings with the agent inside of OpenTelemetry's middleware, else in front; None where the app has it."""
    paths = list(settings.MIDDLEWARE)
    if ours(paths):
        return None
    place = paths.index(OPENTELEMETRY) + 1 if OPENTELEMETRY in paths else 0
    return _View(settings, [*paths[:place], f"{ZeroDjango.__module__}.{ZeroDjango.__qualname__}", *paths[place:]])


class ZeroDjango(MetloDjango):
    """The agent where nobody put it into MIDDLEWARE; wrong settings leave the app as it is."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        try:
            super().__init__(get_response)
        except SettingsError as problem:
            logging.getLogger(NAME).error("%s", problem)
            raise MiddlewareNotUsed(str(problem)) from None
