"""The status that a client got of an ASGI app whose answer was made further out, or by the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metlo_otel.core.exchange import CLIENT_CLOSED_REQUEST

_ERROR = 500
_FORBIDDEN = 403  # what servers answer to a handshake that is closed before it was accepted
_SWITCHING_PROTOCOLS = 101
_TOO_LARGE = 413
# Frameworks whose outer layers answer for an exception by the status that it names. What other exceptions call so is
# another's: an API client's tells of the API that it asked.
_FRAMEWORKS = frozenset({"starlette", "fastapi", "litestar", "connexion", "werkzeug", "quart", "falcon", "sanic"})
_NAMES = ("status_code", "status", "code")


def status_after(problem: BaseException | None, scope: Mapping[str, Any]) -> int:
    """What is answered for an app that raised `problem`, or nothing and said nothing."""
    if problem is not None and not isinstance(problem, Exception) and not hasattr(problem, "exceptions"):
        return CLIENT_CLOSED_REQUEST  # cancelled, as servers do when the client has gone
    if problem is None or scope.get("app") is None:  # nobody is further out but the server
        return _ERROR
    return _named(_innermost(problem)) or _ERROR


def limit_answered(problem: BaseException | None) -> int | None:
    """413 where Starlette's limit for bodies has answered in the place of what the app began to say."""
    return _TOO_LARGE if type(problem).__name__ == "_RequestBodyLimitResponseSent" else None


def handshake_status(message: Mapping[str, Any]) -> int | None:
    """What a websocket's handshake is answered by this message of the app; None where it is not answered yet."""
    kind = message["type"]
    if kind == "websocket.accept":
        return _SWITCHING_PROTOCOLS
    if kind == "websocket.close":
        return _FORBIDDEN
    return int(message["status"]) if kind == "websocket.http.response.start" else None


def _innermost(problem: BaseException) -> BaseException:
    """What a task group raised, where that is one thing."""
    group: Any = getattr(problem, "exceptions", ())
    return _innermost(group[0]) if len(group) == 1 else problem


def _named(problem: BaseException) -> int | None:
    if not any(made.__module__.partition(".")[0] in _FRAMEWORKS for made in type(problem).__mro__):
        return None
    for name in _NAMES:
        status = str(getattr(problem, name, ""))[:3]
        if status.isdecimal() and 400 <= int(status) <= 599:
            return int(status)
    return None
