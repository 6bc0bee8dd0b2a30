"""The shop in FastAPI: its own way of declaring bodies and parameters, Starlette's responses."""

from __future__ import annotations

from typing import Any

import fastapi
from fastapi import Body, FastAPI, Response

from tests.contract.apps import script, starlette_app

METHODS = starlette_app.METHODS


def make() -> FastAPI:
    """A new app; half of it under a router that is included."""
    app = FastAPI()
    app.add_middleware(starlette_app.Customers)
    app.post("/json")(read_json)
    items = fastapi.APIRouter(prefix="/items/{name}")
    items.get("/parts/{part}")(part)
    app.include_router(items)
    app.get("/users/{id}")(user)
    declared = {"/json", "/users/{id:int}", "/items/{name}/parts/{part}"}
    for path, view in starlette_app.ROUTES.items():
        if path not in declared:
            app.add_route(path, view, methods=METHODS)
    app.add_api_websocket_route("/ws", starlette_app.websocket)
    return app


user_of = starlette_app.user_of


async def read_json(value: Any = Body()) -> Response:
    return starlette_app.answer(script.as_json({"got": value}))


def user(id: int) -> Response:
    """A plain function: FastAPI runs it in a thread."""
    return starlette_app.answer(script.as_json({"id": id}))


async def part(name: str, part: str) -> Response:
    return starlette_app.answer(script.as_json({"name": name, "part": part}))
