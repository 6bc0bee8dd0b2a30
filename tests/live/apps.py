"""The shops that real servers load; settings come from METLO_ variables in the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from metlo_otel.fastapi import ASGIMiddleware
from metlo_otel.flask import MetloFlask
from tests.contract.apps import flask_app, starlette_app


def flask_shop() -> Any:
    """The shop in Flask, with a view that tells the process."""
    app = flask_app.make()

    def pid() -> str:
        time.sleep(0.005)  # a view's work, in which other workers get their turn
        return str(os.getpid())

    app.add_url_rule("/pid", view_func=pid)
    MetloFlask(app)
    return app


def three_agents() -> Any:
    """The shop in Starlette with three agents, each with a destination of its own."""
    app = starlette_app.make()
    for number in range(3):
        app.add_middleware(ASGIMiddleware, api_key=f"key-{number}")
    return app


def exiting_shop() -> Any:
    """The shop in Flask, with what docs/how-it-fails.md advises where one leaves SIGTERM to the operating system."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    return flask_shop()


async def slowly() -> AsyncIterator[bytes]:
    """An endless stream that lets others have their turn."""
    while True:
        yield b"tick\n"
        await asyncio.sleep(0.001)


def starlette_shop() -> Any:
    """The shop in Starlette, with a view that tells the process."""
    app = starlette_app.make()

    async def pid(request: Any) -> Any:
        time.sleep(0.005)  # noqa: ASYNC251 - as in Flask: meanwhile this worker takes no other request
        return starlette_app.answer(str(os.getpid()).encode(), "text/plain")

    async def ticks(request: Any) -> Any:
        return StreamingResponse(slowly(), media_type="text/plain")

    app.add_route("/pid", pid)
    app.add_route("/ticks", ticks)
    app.add_middleware(ASGIMiddleware)
    return app


def wrong_starlette() -> Any:
    """The shop in Starlette, with settings that are wrong."""
    app = starlette_app.make()
    app.add_middleware(ASGIMiddleware, host="nonsense", api_key="k", max_body="many", colour="red")  # type: ignore[call-arg]
    return app
