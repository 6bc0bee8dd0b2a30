"""Where an exception passes us, who answers for it further out, in Starlette and FastAPI, is seen outermost."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from metlo_otel.capture.asgi_types import ASGIApp, Message, Receive, Scope, Send, as_coroutine_function
from metlo_otel.capture.copies import Handed
from metlo_otel.core.guard import Guard

Answered = Callable[[Send, Message], Awaitable[None]]
Ended = Callable[[], Awaitable[None]]

_AWAITED = "metlo_otel.awaited"


class Awaited:
    """A request's answer as it is seen outermost.

    `waiting` are those who want to know of it: what sends a message of it, and what is called when there will be no
    more; None once that is so.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[Answered, Ended]] | None = []

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # as an exchange: copied with the scope that carries it, it is nothing


class Outermost:
    """Around an app's whole stack of middlewares; where all goes well it does no more than look."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app  # by this name others look for what is further in
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        awaited = self._guard.run(_carried, scope) if scope["type"] == "http" else None
        if awaited is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, as_coroutine_function(Handed(_pass, awaited, send)))
        finally:
            waiting, awaited.waiting = awaited.waiting, None
            for _, ended in waiting or ():
                await self._guard.wait(ended())


def _carried(scope: Scope) -> Awaited:
    scope[_AWAITED] = awaited = Awaited()
    return awaited


def _pass(awaited: Awaited, send: Send, message: Message) -> Awaitable[None]:
    for answered, _ in awaited.waiting or ():
        send = partial(answered, send)
    return send(message)


if sys.version_info >= (3, 12):
    _pass = inspect.markcoroutinefunction(_pass)


def look_outside(scope: Scope, agent: object, guard: Guard) -> None:
    """Have answers seen that are made outside of `agent`, in the app that `scope` names, if there may be any.

    Starlette itself answers 500 to what it does not know; an app's handler of Exception, or a middleware, says what it
    likes.
    """
    app = scope.get("app")
    stack = getattr(app, "middleware_stack", None)
    if stack is None or isinstance(stack, Outermost):
        return
    inner = getattr(stack, "app", None)
    while _only_passes_on(inner):
        inner = getattr(inner, "app", None)
    if getattr(stack, "handler", None) is not None or getattr(inner, "agent", None) is not agent:
        app.middleware_stack = Outermost(stack, guard)  # type: ignore[union-attr]  # it has one


def _only_passes_on(middleware: object) -> bool:
    """Whether it is a framework's own, which answers no exception, and calls no function of the app's."""
    kind = type(middleware)
    return kind.__module__.partition(".")[0] in ("fastapi", "starlette") and kind.__name__ != "BaseHTTPMiddleware"


def wait_for_answer(scope: Scope, answered: Answered, ended: Ended) -> bool:
    """Be told of the answer that is made further out; False where nobody sees it."""
    awaited = scope.get(_AWAITED)
    if not isinstance(awaited, Awaited) or awaited.waiting is None:
        return False
    awaited.waiting.append((answered, ended))
    return True
