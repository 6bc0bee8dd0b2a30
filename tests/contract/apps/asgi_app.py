"""The shop as a plain ASGI app, without any framework."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from metlo_otel.core.current import set_user
from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT
from tests.contract.apps.wsgi_app import parse_upload

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
JSON = "application/json"


def make() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """A new app."""
    return app


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await websocket(receive, send)
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    customer = dict(scope["headers"]).get(b"x-customer")
    if customer:
        scope["shop.user"] = customer.decode()
    name, _, rest = scope["path"].lstrip("/").partition("/")
    scope["shop.rest"] = rest
    await ROUTES.get(name, missing)(scope, receive, send)


def user_of(scope: Scope) -> object:
    """What a GET_USER of this app would be."""
    return scope.get("shop.user")


async def websocket(receive: Receive, send: Send) -> None:
    """Sends back what it gets, until it is told `bye`."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return None
        await send({"type": "websocket.send", "text": message["text"][::-1]})
        if message["text"] == "bye":
            return await send({"type": "websocket.close", "code": 1000})


async def lifespan(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{step}"
        SCRIPT.events.append(step)
        await send({"type": f"lifespan.{step}.complete"})


async def begin(send: Send, status: int, kind: str, *headers: tuple[str, str]) -> None:
    pairs = [("content-type", kind), *headers]
    encoded = [(name.lower().encode(), value.encode()) for name, value in pairs]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def answer(send: Send, body: bytes, kind: str = JSON, status: int = 200, *headers: tuple[str, str]) -> None:
    await begin(send, status, kind, ("content-length", str(len(body))), *headers)
    await send({"type": "http.response.body", "body": body})


async def pieces_of(receive: Receive) -> list[bytes]:
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return pieces


async def read(receive: Receive) -> bytes:
    return b"".join(await pieces_of(receive))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.seen(scope["method"], scope["query_string"].decode(), await read(receive)))


async def read_json(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.as_json({"got": json.loads(await read(receive))}))


async def read_form(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.form_of(parse_qs((await read(receive)).decode())))


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    kind = dict(scope["headers"])[b"content-type"].decode()
    await answer(send, script.upload_of(*parse_upload(kind, await read(receive))))


async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
    SCRIPT.events.append("ignored")
    await answer(send, b"ignored", "text/plain")


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.count([len(piece) for piece in await pieces_of(receive)]))


async def first(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.count([len((await receive())["body"])]))


async def generate(send: Send, pieces: tuple[bytes, ...], kind: str) -> None:
    await begin(send, 200, kind)
    for number, piece in enumerate(pieces):
        SCRIPT.events.append(f"made {number}")
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    await generate(send, script.CHUNKS, "text/plain; charset=utf-8")


async def sse(scope: Scope, receive: Receive, send: Send) -> None:
    await generate(send, script.EVENTS, "text/event-stream")


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await begin(send, 200, "text/plain")
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"tick\n", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    SCRIPT.events.append("ended")


async def boom(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError(script.ERROR)


async def late_boom(scope: Scope, receive: Receive, send: Send) -> None:
    await begin(send, 200, "text/plain")
    await send({"type": "http.response.body", "body": b"so far so good\n", "more_body": True})
    raise RuntimeError(script.ERROR)


async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
    await begin(send, 200, JSON, ("content-length", str(len(script.DOCUMENT))))
    for piece in blocks(script.FILE.read_bytes()):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def blocks(content: bytes) -> Iterator[bytes]:
    return (content[start : start + 64] for start in range(0, len(content), 64))


async def status(scope: Scope, receive: Receive, send: Send) -> None:
    code = int(scope["shop.rest"])
    if code in (204, 304):
        await begin(send, code, "text/plain")
        return await send({"type": "http.response.body"})
    return await answer(send, b"status", "text/plain", code)


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"there is no such shelf", "text/plain", 404)


async def gzipped(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.GZIPPED, JSON, 200, ("Content-Encoding", "gzip"))


async def binary(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.BINARY, "application/octet-stream")


async def repeated(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"{}", JSON, 200, *script.REPEATED)


async def user(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, script.as_json({"id": int(scope["shop.rest"])}))


async def part(scope: Scope, receive: Receive, send: Send) -> None:
    name, _, part = scope["shop.rest"].partition("/parts/")
    await answer(send, script.as_json({"name": name, "part": part}))


async def login(scope: Scope, receive: Receive, send: Send) -> None:
    scope["shop.user"] = "u7"
    await answer(send, b"{}")


async def named(scope: Scope, receive: Receive, send: Send) -> None:
    set_user("named-8")
    await answer(send, b"{}")


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"x" * int(scope["shop.rest"]), "text/plain")


async def scripted(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in SCRIPT.headers]
    await send({"type": "http.response.start", "status": SCRIPT.status, "headers": headers})
    if SCRIPT.streamed:
        for piece in SCRIPT.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        return await send({"type": "http.response.body"})
    return await send({"type": "http.response.body", "body": b"".join(SCRIPT.pieces)})


ROUTES: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "echo": echo,
    "json": read_json,
    "form": read_form,
    "upload": upload,
    "ignore": ignore,
    "raw": raw,
    "first": first,
    "lines": raw,
    "stream": stream,
    "sse": sse,
    "endless": endless,
    "boom": boom,
    "late-boom": late_boom,
    "file": send_file,
    "status": status,
    "gzip": gzipped,
    "binary": binary,
    "repeated": repeated,
    "users": user,
    "items": part,
    "login": login,
    "named": named,
    "large": large,
    "scripted": scripted,
}
