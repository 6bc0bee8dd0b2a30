"""An ASGI server in a function: it behaves as uvicorn does, and every step of it can be steered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.contract.http import Answer, Call

App = Callable[..., Awaitable[None]]
Message = dict[str, Any]

_PATIENCE = 20.0  # seconds for one call, so that a suite never hangs


def make_scope(call: Call, **more: Any) -> dict[str, Any]:
    """The scope of a call: header names in lower case, repeated headers kept."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2" if call.http2 else "1.1",
        "method": call.method,
        "scheme": "http",
        "path": call.path.decode("utf-8", "replace"),
        "raw_path": call.target.partition("?")[0].encode("latin-1"),
        "query_string": call.query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in call.all_headers()],
        "client": call.client,
        "server": call.server,
        **more,
    }


class Connection:
    """The server's side of one call."""

    def __init__(self, call: Call) -> None:
        self.answer = Answer()
        self._call = call
        self._waiting = list(call.pieces)
        self._gone = asyncio.Event()
        self._asked = False

    async def receive(self) -> Message:
        if self._waiting or not self._asked:
            self._asked = True
            piece = self._waiting.pop(0) if self._waiting else b""
            self.answer.consumed += len(piece)
            return {"type": "http.request", "body": piece, "more_body": bool(self._waiting)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)  # as a server's flow control: others get their turn
        if self._gone.is_set():
            return  # what is sent to nobody is dropped
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
            )
            self._leave_after(0)
            return
        assert message["type"] == "http.response.body", message
        if message.get("body"):
            self.answer.take(message["body"], self._call)
        if not message.get("more_body"):
            self.answer.closed = True
            self._gone.set()
        self._leave_after(len(self.answer.pieces))

    def _leave_after(self, pieces: int) -> None:
        if self._call.leaves_after is not None and pieces >= self._call.leaves_after:
            self._gone.set()


def serve(app: App, call: Call) -> Answer:
    """Serve one call to the end, in an event loop of its own."""
    return asyncio.run(serve_async(app, call))


async def serve_async(app: App, call: Call, **scope: Any) -> Answer:
    """Serve one call, as a server would: answer 500 for an app that raised."""
    connection = Connection(call)
    try:
        await asyncio.wait_for(app(make_scope(call, **scope), connection.receive, connection.send), _PATIENCE)
    except Exception as problem:
        connection.answer.raised = f"{type(problem).__name__}: {problem}"
        connection.answer.status = connection.answer.status or 500
    return connection.answer
