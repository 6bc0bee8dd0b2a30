"""One ASGI app for real servers, four times in one process: without the agent, with it, with a rule, with DETECTION."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from metlo_otel.asgi import ASGIMiddleware

HEADERS = [(b"content-type", b"text/plain")]
CHUNKS = (b"first ", b"second ", b"", b"third")


class ToldError(Exception):
    """Raised on purpose."""


class Talk:
    """One request as the app sees it; `seen` is where it notes what it was told."""

    def __init__(self, scope: Any, receive: Any, send: Any, seen: list[str]) -> None:
        self.scope, self.receive, self._send, self.seen = scope, receive, send, seen
        self.extensions = scope.get("extensions") or {}

    async def start(self, status: int = 200, headers: Any = None, **more: Any) -> None:
        headers = iter(HEADERS) if headers is None else headers
        await self._send({"type": "http.response.start", "status": status, "headers": headers, **more})

    async def body(self, body: bytes = b"", more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def extension(self, name: str, **message: Any) -> None:
        if name in self.extensions:
            await self._send({"type": name, **message})

    async def read(self) -> bytes:
        """The whole body; how it ended is noted."""
        found, more = b"", True
        while more:
            try:
                message = await self.receive()
            except Exception as problem:
                self.seen.append(f"{self.scope['path']} {found!r} {type(problem).__name__}")
                raise
            found += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append(f"{self.scope['path']} {found!r} {message['type']}")
        return found


async def echo(talk: Talk) -> None:
    found = await talk.read()
    await talk.start(headers=[*HEADERS, (b"content-length", b"%d" % len(found))])
    await talk.body(found)


async def duplex(talk: Talk) -> None:
    await talk.start()
    more = True
    while more:
        message = await talk.receive()
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect":
            return
        await talk.body(message.get("body", b""), more=True)
    await talk.body(b"end")


async def early(talk: Talk) -> None:
    await talk.start(401, [*HEADERS, (b"content-length", b"2")])
    await talk.body(b"no")


async def chunks(talk: Talk) -> None:
    await talk.start()
    for chunk in CHUNKS:
        await talk.body(chunk, more=True)
    await talk.body()


async def sized(talk: Talk) -> None:
    await talk.start(headers=((b"content-length", b"18"), (b"x-a", b"1"), (b"x-a", b"2")))
    for chunk in CHUNKS:
        await talk.body(chunk, more=True)
    await talk.body()


async def partly(talk: Talk) -> None:
    wanted = dict(talk.scope["headers"]).get(b"range", b"")
    await talk.start(206, [(b"content-range", b"bytes 0-2/5"), (b"content-length", b"%d" % len(wanted))])
    await talk.body(wanted)


async def empty(talk: Talk) -> None:
    await talk.start(204, [])
    await talk.body()


async def raises_before(_talk: Talk) -> None:
    raise ToldError


async def raises_between(talk: Talk) -> None:
    await talk.start()
    raise ToldError


async def raises_after(talk: Talk) -> None:
    await talk.start()
    await talk.body(b"begun", more=True)
    raise ToldError


async def nothing(_talk: Talk) -> None:
    return


async def extended(talk: Talk) -> None:
    await talk.extension("http.response.early_hint", links=[b"</a.css>; rel=preload"])
    trailers = "http.response.trailers" in talk.extensions
    await talk.start(headers=[*HEADERS, (b"trailer", b"x-end")], trailers=trailers)
    await talk.body(b"hello")
    await talk.extension("http.response.trailers", headers=[(b"x-end", b"1")], more_trailers=False)


async def a_file(talk: Talk) -> None:
    if "http.response.pathsend" not in talk.extensions:
        await empty(talk)
        return
    await talk.start(headers=[*HEADERS, (b"content-length", b"9")])
    await talk.extension("http.response.pathsend", path=FILE.name)


async def left(talk: Talk) -> None:
    """Streams until the client has gone, and notes that."""
    await talk.read()
    await talk.start()
    await talk.body(b"begun", more=True)
    talk.seen.append((await talk.receive())["type"])


async def seen(talk: Talk) -> None:
    await talk.start(headers=HEADERS)
    await talk.body("\n".join(talk.seen).encode())


FILE = tempfile.NamedTemporaryFile()  # noqa: SIM115 - there as long as the process
FILE.write(b"of a file")
FILE.flush()
VIEWS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    view.__name__: view
    for view in (
        *(echo, duplex, early, chunks, sized, partly, empty, extended, a_file, left, seen),
        *(raises_before, raises_between, raises_after, nothing),
    )
}


def shop(mode: str) -> Any:
    noted: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ToldError
        await VIEWS[scope["path"].rpartition("/")[2]](Talk({**scope, "path": ""}, receive, send, noted))

    return app if mode == "plain" else ASGIMiddleware(app, **MODES[mode])


MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "facade": {},
    "rule": {"rules": [{"name": "never", "block": True, "body": {"contains": "the attack"}}]},
    "detect": {"detection": "SQLI=block"},
}
SHOPS = {mode: shop(mode) for mode in MODES}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The shop of the mode that the path names; no lifespan, as each shop would have one."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await SHOPS[scope["path"].split("/")[1]](scope, receive, send)
