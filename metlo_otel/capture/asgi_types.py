"""What passes between an ASGI server and an app, as types, and how an app is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


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
