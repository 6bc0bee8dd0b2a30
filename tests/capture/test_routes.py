"""The route template that a Starlette request is told under, wherever its app is mounted."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from metlo_otel.capture.routes import starlette_route

FOUND: list[str | None] = []
PUTS_ROUTES_INTO_THE_SCOPE = int(version("starlette").partition(".")[0]) >= 1


async def files(scope: Any, receive: Any, send: Any) -> None:
    FOUND.append(starlette_route(scope))
    await PlainTextResponse("a file")(scope, receive, send)


async def page(request: Any) -> PlainTextResponse:
    FOUND.append(starlette_route(request.scope))
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
        pytest.param("/static/a/b.css", "/static/{path}", id="files"),
        pytest.param("/of/7/files/a.css", "/of/{user}/files/{path}", id="files within"),
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
