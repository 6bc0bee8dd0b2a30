"""Starlette's and FastAPI's understanding."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.differential.apps.understood import document, gathered, listed, named, pairs
from tests.differential.message import METHOD, OTHER_METHOD, OTHER_PATH, PATH

_METHODS = ["GET", "HEAD", "POST", "PATCH", "OPTIONS", METHOD, OTHER_METHOD]
_PATHS = (f"/{PATH}", f"/{OTHER_PATH}", "/{path:path}")


def make() -> Starlette:
    """A Starlette app that echoes on every path."""
    return Starlette(routes=[Route(path, echo, methods=_METHODS) for path in _PATHS])


def make_fastapi() -> FastAPI:
    """The same in FastAPI."""
    app = FastAPI(openapi_url=None)
    for path in _PATHS:
        app.add_api_route(path, echo, methods=_METHODS)
    return app


async def echo(request: Request) -> Response:
    """Answer with what was understood."""
    raw = await request.body()
    fields: list[tuple[str, Any]] = []
    with suppress(Exception):
        fields = (await request.form()).multi_items()
    files = [(name, value) for name, value in fields if isinstance(value, UploadFile)]
    held = [
        text for name, file in files for text in (name, file.filename, (await file.read()).decode("utf-8", "replace"))
    ]
    body = gathered(
        path=lambda: [request.url.path, request.scope["path"], request.path_params.get("path", "")],
        method=lambda: [request.method],
        query=lambda: named(request.query_params.multi_items()),
        queries=lambda: pairs(request.query_params.multi_items()),
        header=lambda: listed(request.headers.getlist("X-Role")),
        cookie=lambda: pairs(request.cookies.items()),
        form=lambda: pairs((name, value) for name, value in fields if isinstance(value, str)),
        file=lambda: held,
        json=lambda: document(raw),
        text=lambda: [raw.decode("utf-8", "replace")],
    )
    with suppress(Exception):
        await request.close()
    return Response(body, media_type="application/json")
