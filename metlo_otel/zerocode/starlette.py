"""Starlette and FastAPI apps: the agent is put around their middlewares when they build their stack."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.capture.asgi_types import ASGIApp, Receive, Scope, Send
from metlo_otel.core.current import CARRIED
from metlo_otel.core.guard import Guard
from metlo_otel.zerocode.install import once


def patch(module: ModuleType, options: Mapping[str, Any], guard: Guard) -> None:
    """Have every app that builds its stack from now on have the agent in it."""

    def make(original: Callable[[Starlette], ASGIApp]) -> Callable[[Starlette], ASGIApp]:
        @functools.wraps(original)
        def build_middleware_stack(self: Starlette) -> ASGIApp:
            stack = original(self)
            guard.run(_put, self, stack, options)
            return stack

        return build_middleware_stack

    for name in ("Starlette", "FastAPI"):
        app_class = vars(module).get(name)
        if app_class is not None and "build_middleware_stack" in vars(app_class):
            once(app_class, "build_middleware_stack", make)


def _put(app: Starlette, stack: ASGIApp, options: Mapping[str, Any]) -> None:
    """Inside of the outermost middleware, which answers for errors and which OpenTelemetry wants to find there."""
    classes = [item.cls for item in app.user_middleware if isinstance(item.cls, type)]
    if isinstance(stack, ServerErrorMiddleware) and not any(issubclass(found, ASGIMiddleware) for found in classes):
        stack.app = Unobtrusive(stack.app, **options)


class Unobtrusive(ASGIMiddleware):
    """Leaves to themselves the requests that the agent of an app around this one serves; never ends an app's start."""

    _may_end_start = False

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.app if CARRIED in scope else super().__call__)(scope, receive, send)
