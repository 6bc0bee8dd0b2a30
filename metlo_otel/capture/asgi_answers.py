"""What answers a rejected request in the place of an ASGI app."""

from __future__ import annotations

from metlo_otel.capture.asgi_types import ASGIApp, Receive, Scope, Send
from metlo_otel.core.rejection import Rejection

_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


def answering(rejection: Rejection) -> ASGIApp:
    """An ASGI app that answers with `rejection`."""
    headers = [(name.lower().encode(), value.encode()) for name, value in rejection.headers]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - what an ASGI app takes
        await send({"type": "http.response.start", "status": rejection.status, "headers": headers})
        await send({"type": "http.response.body", "body": rejection.body})

    return app


async def closing_websocket(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - as above
    """An ASGI app that refuses a websocket: closed before it was accepted, which servers answer with 403."""
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "forbidden"})
