"""The app behind the recordings of FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Body, FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.contract.apps.recorded_flask import RESULTS, UNICODE


def make() -> FastAPI:
    """A new app."""
    app = FastAPI()
    app.get("/search")(search)
    app.post("/json")(read_json)
    app.get("/stream")(stream)
    app.get("/boom")(boom)
    app.get("/unicode5k")(unicode5k)
    return app


async def search(q: str) -> Any:
    return {"q": q, "results": RESULTS}


async def read_json(value: Any = Body()) -> Any:
    return {"got": value}


async def stream() -> Any:
    async def chunks() -> AsyncIterator[str]:
        for number in range(4):
            yield f"chunk{number}\n"

    return StreamingResponse(chunks(), media_type="text/plain")


async def boom() -> Any:
    raise ValueError("boom")


async def unicode5k() -> Any:
    return PlainTextResponse(UNICODE)
