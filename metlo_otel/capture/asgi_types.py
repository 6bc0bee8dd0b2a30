"""What passes between an ASGI server and an app, as types, and how an app is called."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Apps may ask whether `send` is a coroutine function, as asgiref's async_to_sync() does, and warns where it is none.
# Before Python 3.12 there is no mark that a partial takes over from its function: each one has asyncio's own.
_COROUTINE_FUNCTION = getattr(asyncio.coroutines, "_is_coroutine", True) if sys.version_info < (3, 12) else None


def as_coroutine_function(sending: partial[Awaitable[None]]) -> Send:
    """`sending`, marked as what `send` is."""
    if _COROUTINE_FUNCTION is not None:
        sending._is_coroutine = _COROUTINE_FUNCTION  # type: ignore[attr-defined]  # a partial takes any attribute
    return sending


def single_callable(app: Any) -> ASGIApp:
    """`app` as ASGI 3 calls it; one of ASGI 2 takes the scope alone, and gives what takes the rest."""
    if _takes(app, 3) or not _takes(app, 1):
        return app  # type: ignore[no-any-return]  # whoever calls it finds out

    async def single(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return single


def _takes(app: Any, arguments: int) -> bool:
    try:
        inspect.signature(app).bind(*range(arguments))
    except (TypeError, ValueError):
        return False
    return True
