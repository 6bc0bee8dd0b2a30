"""The shop in Starlette; FastAPI's differs in how the app and its routes are made, not in what they do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from metlo_otel.core.current import set_user
from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT

JSON = "application/json"
METHODS = ["GET", "POST", "PUT", "DELETE"]


def make() -> Starlette:
    """A new app."""
    routes = [Route(path, view, methods=METHODS) for path, view in ROUTES.items()]
    app = Starlette(routes=[*routes, WebSocketRoute("/ws", websocket)])
    app.add_middleware(Customers)
    return app


class Customers:
    """A middleware that says who the customer is; it is inside of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        customer = dict(scope.get("headers", ())).get(b"x-customer")
        if customer:
            scope["shop.user"] = customer.decode()
        await self._app(scope, receive, send)


def user_of(scope: Scope) -> object:
    """What a GET_USER of this app would be."""
    return scope.get("shop.user")


async def websocket(socket: WebSocket) -> None:
    """Sends back what it gets, until it is told `bye`."""
    await socket.accept()
    text = ""
    while text != "bye":
        text = await socket.receive_text()
        await socket.send_text(text[::-1])
    await socket.close(1000)


def answer(body: bytes, kind: str = JSON, status: int = 200) -> Response:
    return Response(body, status, {"Content-Type": kind})


async def echo(request: Request) -> Response:
    return answer(script.seen(request.method, request.url.query, await request.body()))


async def read_json(request: Request) -> Response:
    return answer(script.as_json({"got": await request.json()}))


async def read_form(request: Request) -> Response:
    async with request.form() as form:
        return answer(script.form_of({name: [str(value) for value in form.getlist(name)] for name in form}))


async def upload(request: Request) -> Response:
    fields, files = {}, {}
    async with request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = len(await value.read())
            else:
                fields[name] = [str(value)]
    return answer(script.upload_of(fields, files))


async def ignore(request: Request) -> Response:
    SCRIPT.events.append("ignored")
    return answer(b"ignored", "text/plain")


async def raw(request: Request) -> Response:
    return answer(script.count([len(piece) async for piece in request.stream()]))


async def first(request: Request) -> Response:
    return answer(script.count([len((await request.receive())["body"])]))


async def generate(pieces: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for number, piece in enumerate(pieces):
        SCRIPT.events.append(f"made {number}")
        yield piece


async def stream(request: Request) -> Response:
    return StreamingResponse(generate(script.CHUNKS), media_type="text/plain")


async def sse(request: Request) -> Response:
    return StreamingResponse(generate(script.EVENTS), headers={"Content-Type": "text/event-stream"})


async def endless(request: Request) -> Response:
    async def forever() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
        finally:
            SCRIPT.events.append("ended")

    return StreamingResponse(forever(), media_type="text/plain")


async def boom(request: Request) -> Response:
    raise RuntimeError(script.ERROR)


async def late_boom(request: Request) -> Response:
    async def broken() -> AsyncIterator[bytes]:
        yield b"so far so good\n"
        raise RuntimeError(script.ERROR)

    return StreamingResponse(broken(), media_type="text/plain")


async def send_file(request: Request) -> Response:
    return FileResponse(script.FILE, media_type=JSON)


async def status(request: Request) -> Response:
    code = request.path_params["code"]
    return answer(b"" if code in (204, 304) else b"status", "text/plain", code)


async def gzipped(request: Request) -> Response:
    return Response(script.GZIPPED, headers={"Content-Type": JSON, "Content-Encoding": "gzip"})


async def binary(request: Request) -> Response:
    return answer(script.BINARY, "application/octet-stream")


async def repeated(request: Request) -> Response:
    response = answer(b"{}")
    for name, value in script.REPEATED:
        response.headers.append(name, value)
    return response


async def user(request: Request) -> Response:
    return answer(script.as_json({"id": request.path_params["id"]}))


async def part(request: Request) -> Response:
    return answer(script.as_json({"name": request.path_params["name"], "part": request.path_params["part"]}))


async def login(request: Request) -> Response:
    request.scope["shop.user"] = "u7"
    return answer(b"{}")


async def named(request: Request) -> Response:
    set_user("named-8")
    return answer(b"{}")


async def large(request: Request) -> Response:
    return answer(b"x" * int(request.path_params["size"]), "text/plain")


async def scripted(request: Request) -> Response:
    response = Response(b"".join(SCRIPT.pieces), SCRIPT.status)
    if SCRIPT.streamed:
        response = StreamingResponse(as_async(SCRIPT.pieces), SCRIPT.status)
    response.raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in SCRIPT.headers]
    return response


async def as_async(pieces: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


ROUTES: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "/echo": echo,
    "/json": read_json,
    "/form": read_form,
    "/upload": upload,
    "/ignore": ignore,
    "/raw": raw,
    "/first": first,
    "/lines": raw,
    "/stream": stream,
    "/sse": sse,
    "/endless": endless,
    "/boom": boom,
    "/late-boom": late_boom,
    "/file": send_file,
    "/status/{code:int}": status,
    "/gzip": gzipped,
    "/binary": binary,
    "/repeated": repeated,
    "/users/{id:int}": user,
    "/items/{name}/parts/{part}": part,
    "/login": login,
    "/named": named,
    "/large/{size:int}": large,
    "/scripted": scripted,
}
