"""The apps under load: each with the agent, a few routes, and one that tells the agent's numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from metlo_otel.agent import Agent
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.flask import MetloFlask

PARTS = 20
PART = b"part of a stream\n"
OPTIONS: dict[str, Any] = {
    "EXCLUDED_URLS": "/agent/",
    "MAX_QUEUE_BYTES": 2 * 1024 * 1024,
    "DETECTION": "block",
    "RULES": [{"name": "never", "block": True, "body": {"contains": "what-nobody-sends"}}],
}


def numbers(agent: Agent | None) -> dict[str, Any]:
    """What the agent counts."""
    assert agent is not None
    stats = asdict_of(agent)
    settled = stats["sent"] + stats["counted"] + sum(stats["dropped"].values())
    return {**stats, "rest": stats["captured"] - settled - stats["queue_items"]}


def asdict_of(agent: Agent) -> dict[str, Any]:
    """The statistics, as JSON can hold them."""
    stats = agent.stats()
    return {
        **{name: getattr(stats, name) for name in ("captured", "sent", "counted", "queue_items", "retried")},
        "dropped": dict(stats.dropped),
    }


def flask_app() -> flask.Flask:
    """For gunicorn."""
    app = flask.Flask("soak")
    ours = MetloFlask(app, **OPTIONS)
    app.add_url_rule("/users/<int:number>", view_func=lambda number: {"id": number, "name": "Ada"}, endpoint="user")
    app.add_url_rule("/echo", view_func=lambda: flask.request.get_data(), endpoint="echo", methods=["POST"])
    app.add_url_rule("/stream", view_func=lambda: flask.Response(_parts()), endpoint="stream")
    app.add_url_rule("/agent/numbers", view_func=lambda: numbers(ours.agent), endpoint="numbers")

    def flush() -> dict[str, Any]:
        assert ours.agent is not None
        return {"flushed": ours.agent.flush(20.0)}

    app.add_url_rule("/agent/flush", view_func=flush, endpoint="flush")
    return app


def _parts() -> Iterator[bytes]:
    yield from [PART] * PARTS


def fastapi_app() -> ASGIMiddleware:
    """For uvicorn."""
    app = FastAPI()
    served = ASGIMiddleware(app, **OPTIONS)

    @app.get("/users/{number}")
    async def user(number: int) -> dict[str, Any]:
        return {"id": number, "name": "Ada"}

    @app.post("/echo")
    async def echo(request: Request) -> StreamingResponse:
        body = await request.body()

        async def whole() -> AsyncIterator[bytes]:
            yield body

        return StreamingResponse(whole())

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([PART] * PARTS))

    @app.get("/agent/numbers")
    async def told() -> dict[str, Any]:
        return numbers(served.agent)

    @app.get("/agent/flush")
    def flush() -> dict[str, Any]:
        assert served.agent is not None
        return {"flushed": served.agent.flush(20.0)}

    return served
