"""One marked request through an app and its agent, to see whether the collector takes what comes of it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from wsgiref.util import setup_testing_defaults

from metlo_otel.agent import live_agents
from metlo_otel.core.settings import read_settings

_PATH = "/metlo-otel-check"
_PATIENCE = 10.0  # seconds in which the collector has to take what comes of it


class SendError(Exception):
    """The request did not reach the collector; the text says where it was lost and what would be right."""


def send(app: str, given: Mapping[str, Any]) -> str:
    """Send `GET /metlo-otel-check` through `app` (`module:name`; empty: one of our own). What came of it, in words.

    Raises SendError.
    """
    settings = read_settings(given)
    os.environ.update(METLO_HOST=settings.metlo_host, METLO_API_KEY=settings.api_key)  # for the app's own agent
    status = _asked(_imported(app) if app else _own())
    agents = live_agents()
    if not agents:
        raise SendError(
            f"{app} answered {status}, but no agent saw it: `metlo-otel init` shows which lines are missing"
        )
    where = ", ".join(sorted({each.settings.collector_url for each in agents}))  # code wins over the environment
    sent = all(agent.flush(_PATIENCE) for agent in agents)  # where one fails, the request is lost already
    stats = [agent.stats() for agent in agents]
    if sent and any(each.sent or each.counted for each in stats):
        return f"GET {_PATH} was answered with {status}, and {where} has it"
    dropped = [f"{number} {reason}" for each in stats for reason, number in each.dropped.items()]
    lost = ", ".join(dropped) or f"no answer within {_PATIENCE:.0f} s"
    raise SendError(f"GET {_PATH} was answered with {status}, but {where} did not take it: {lost}")


def _own() -> Any:
    from metlo_otel.wsgi import WSGIMiddleware

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"this is only a check"]

    return WSGIMiddleware(app)


def _imported(app: str) -> Any:
    module, _, name = app.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name or "app")
    except Exception as problem:  # what a module raises while it is imported is its own affair
        raise SendError(f"{app!r} cannot be imported: {type(problem).__name__}: {problem}") from problem


def _asked(app: Any) -> int:
    try:
        if _is_asgi(app):
            return asyncio.run(_asked_asgi(app))
        return _asked_wsgi(app)
    except Exception as problem:
        raise SendError(f"the app raised {type(problem).__name__}: {problem}") from problem


def _is_asgi(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _asked_wsgi(app: Any) -> int:
    environ: dict[str, Any] = {"PATH_INFO": _PATH, "REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "metlo-otel check"}
    setup_testing_defaults(environ)
    statuses: list[int] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> Any:
        statuses.append(int(status.split()[0]))
        return lambda _data: None

    body = app(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return statuses[-1]


async def _asked_asgi(app: Any) -> int:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": _PATH,
        "raw_path": _PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"user-agent", b"metlo-otel check")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, answer)
    return statuses[-1]
