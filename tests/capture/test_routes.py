"""The route template that an ASGI request is told under, wherever its app is mounted."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from metlo_otel.capture.routes import asgi_route
from metlo_otel.core.routes import template

FOUND: list[str | None] = []
PUTS_ROUTES_INTO_THE_SCOPE = int(version("starlette").partition(".")[0]) >= 1


async def files(scope: Any, receive: Any, send: Any) -> None:
    FOUND.append(asgi_route(scope))
    await PlainTextResponse("a file")(scope, receive, send)


async def page(request: Any) -> PlainTextResponse:
    FOUND.append(asgi_route(request.scope))
    return PlainTextResponse("a page")


APP = Starlette(
    routes=[
        Mount("/static", files),
        Mount("/of/{user}", routes=[Mount("/files", files), Route("/pages/{n}", page)]),
        Mount("/other", Starlette(routes=[Route("/pages/{n}", page)])),
        Mount("/", files),
    ]
)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/of/7/pages/3", "/of/{user}/pages/{n}"),
        ("/other/pages/3", "/other/pages/{n}"),
        pytest.param("/static/a/b.css", "/static/{path:path}", id="files"),
        pytest.param("/of/7/files/a.css", "/of/{user}/files/{path:path}", id="files within"),
        pytest.param("/a.css", "/{path}", id="files at the top"),
    ],
)
def test_mounted(path: str, route: str) -> None:
    """A mount's path is told once, also where what is mounted has no routes, as an app for files."""
    if path.endswith(".css") and not PUTS_ROUTES_INTO_THE_SCOPE:
        pytest.skip("Starlette before 1.0 tells nothing of such a mount")
    FOUND.clear()

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(_message: Any) -> None:
        return

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(APP(scope, receive, send))
    assert [route] == FOUND


async def answered(app: Any, path: str, **more: Any) -> tuple[int, str | None]:
    """The status that a request gets, and its route in that moment."""
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "headers": [(b"host", b"shop.example")],
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("shop.example", 80),
        "client": ("127.0.0.1", 1),
        **more,
    }
    found: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.extend([message["status"], asgi_route(scope)])

    await app(scope, receive, send)
    status, route = found
    return status, route


async def view(request: Any) -> PlainTextResponse:
    return PlainTextResponse("a page")


def starlette_app() -> Any:
    below = [Route("/pages/{n:int}", view)]
    return Starlette(
        routes=[
            Route("/files/{p:path}", view),
            Route("/slash/", view),
            Mount("/of/{user}", routes=[Route("/pages/{n}", view)]),
            Mount("/sub", Starlette(routes=[Mount("/deeper", Starlette(routes=below))])),
        ]
    )


def hosted_app() -> Any:
    return Starlette(routes=[Host("{tenant}.example", Router([Route("/hosted/{x}", view)]))])


def fastapi_app() -> Any:
    app, outer, inner = FastAPI(), APIRouter(prefix="/outer"), APIRouter(prefix="/inner/{a}")

    @inner.get("/items/{i:path}")
    async def item(a: str, i: str) -> str:
        return i

    outer.include_router(inner)
    app.include_router(outer, prefix="/v1")
    app.mount("/sub", Starlette(routes=[Route("/pages/{n}", view)]))
    return app


ROUTES = [
    (starlette_app, "/files/a/b", "/files/{p:path}"),
    (starlette_app, "/of/7/pages/3", "/of/{user}/pages/{n}"),
    (starlette_app, "/of/7/nothing", None),
    (starlette_app, "/sub/deeper/pages/3", "/sub/deeper/pages/{n}"),
    (hosted_app, "/hosted/3", "/hosted/{x}"),
    (starlette_app, "/slash", None),
    (starlette_app, "/nothing", None),
    (fastapi_app, "/v1/outer/inner/9/items/3/4", "/v1/outer/inner/{a}/items/{i:path}"),
    (fastapi_app, "/sub/pages/3", "/sub/pages/{n}"),
]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("root", ["", "/root", "/7"])
@pytest.mark.parametrize(("make", "path", "route"), ROUTES)
def test_whole_prefix(make: Any, path: str, route: str | None, root: str, method: str) -> None:
    """The template has all of the request's path: the server's root path, mounts, included routers, for 405 too."""
    before = root
    status, found = asyncio.run(answered(make(), before + path, root_path=root, method=method))
    if status == 404 and not PUTS_ROUTES_INTO_THE_SCOPE:
        pytest.skip("Starlette before 1.0 tells nothing of what it did not find")
    assert found == (route and before + route)
    if route is not None:
        assert status == (200 if method == "GET" else 405)


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_a_root_path_that_a_proxy_has_cut_off(make: Any) -> None:
    """A path without it is told without it: a template that does not fit its path is lost."""
    path, route = ("/files/a", "/files/{p:path}") if make is starlette_app else ROUTES[-2][1:]
    assert path
    assert asyncio.run(answered(make(), path, root_path="/root")) == (200, route)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a newer way to say it, that older ones do not know
def test_litestar() -> None:
    """It says the whole template itself."""
    litestar: Any = pytest.importorskip("litestar")

    @litestar.get("/users/{user_id:int}/files/{p:path}")  # type: ignore[untyped-decorator]  # not everywhere installed
    async def file(user_id: int, p: str) -> str:
        return p

    app = litestar.Litestar([litestar.Router("/api", route_handlers=[file])])
    assert asyncio.run(answered(app, "/api/users/7/files/a/b")) == (200, "/api/users/{user_id}/files/{p}")


@pytest.mark.parametrize("root", ["", "/api"])
def test_a_route_that_the_app_tells(root: str) -> None:
    """An app of a framework that puts nothing into the scope says it itself, in any of their notations."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        scope["path_template"] = "/users/<int:number>"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    status, route = asyncio.run(answered(app, f"{root}/users/7", root_path=root))
    assert route is not None
    assert (status, template(route)) == (200, f"{root}/users/{{number}}")
