"""An ASGI app whose request is decided on while its body passes, message by message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from metlo_otel.capture.asgi_types import ASGIApp, Message, Receive, Scope, Send
from metlo_otel.capture.copies import Handed
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision

Answer = Callable[[Exchange, Scope], Awaitable[ASGIApp]]


class DecidingApp:
    """`app`, for one request. Once that is rejected, `answer` says what is sent, and for the app its client has gone.

    Where the app has begun to answer, it is told the same, and the server ends the connection as it does then.
    """

    def __init__(self, app: ASGIApp, exchange: Exchange, late: LateDecision, guard: Guard, answer: Answer) -> None:
        self._app = app
        self._exchange = exchange
        self._late = late
        self._guard = guard
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        receiving: Receive = Handed(self._receive, scope, send, receive)
        sending: Send = Handed(self._send, scope, receive, send)
        try:
            await self._app(scope, receiving, sending)
        except Exception:
            if not self._late.refused:
                raise

    async def _receive(self, scope: Scope, send: Send, receive: Receive) -> Message:
        late = self._late
        if late.gone:
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] != "http.request" or late.gone:
            return message if not late.gone else {"type": "http.disconnect"}
        if self._guard.run(late.passed, not message.get("more_body")) is not True:
            return message
        if late.refused and not await self._refuse(scope, receive, send):
            return message
        return {"type": "http.disconnect"}

    async def _send(self, scope: Scope, receive: Receive, send: Send, message: Message) -> None:
        late = self._late
        if late.refused:
            return  # sent to nobody
        if message["type"] == "http.response.start" and not late.begun:
            if self._guard.run(late.answers) is True and await self._refuse(scope, receive, send):
                return
            late.begun = True
        await send(message)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Send the rejection; a request for which none can be made passes, as at the beginning."""
        instead = await self._guard.wait(self._answer(self._exchange, scope))
        if not callable(instead):
            self._late.gone = self._late.refused = False
            return False
        await instead(scope, receive, send)
        return True
