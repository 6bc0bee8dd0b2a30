"""A request whose body cannot be read is decided all the same, by what is known of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.wsgi import WSGIMiddleware

RULES = [
    {"name": "closed", "block": True, "path": "/admin"},
    {"name": "body", "block": True, "body": {"contains": "attack"}},
]
OPTIONS: dict[str, Any] = {"METLO_HOST": "http://127.0.0.1:9", "API_KEY": "k", "CONFIG_CACHE": "off"}


class Broken:
    """A stream as a server gives it for a chunked body that is none."""

    def read(self, *_: Any) -> bytes:
        raise OSError("malformed chunk")


@pytest.mark.parametrize("options", [{"RULES": RULES}, {"RULES": RULES[:1], "DETECTION": "block"}])
@pytest.mark.parametrize(("path", "status"), [("/admin", 403), ("/other", 200)])
def test_wsgi(path: str, status: int, options: dict[str, Any]) -> None:
    """The rule that needs no body holds, and where none does, the app gets what it would have got."""
    answers: list[str] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    middleware = WSGIMiddleware(app, **OPTIONS, **options)
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": "10", "wsgi.input": Broken()}

    def start_response(line: str, *_: Any) -> Any:
        answers.append(line)

    b"".join(middleware(environ, start_response))
    assert middleware.agent is not None
    middleware.agent.shutdown(0)
    assert [int(line[:3]) for line in answers] == [status]


@pytest.mark.parametrize(("path", "status"), [("/admin", 403), ("/other", 200)])
def test_asgi(path: str, status: int) -> None:
    """The same where receive() raises."""
    answers: list[int] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        raise OSError("malformed chunk")

    async def send(message: Any) -> None:
        answers.extend([message["status"]] if "status" in message else [])

    middleware = ASGIMiddleware(app, **OPTIONS, RULES=RULES)
    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-length", b"10")]}
    asyncio.run(middleware(scope, receive, send))
    assert middleware.agent is not None
    middleware.agent.shutdown(0)
    assert answers == [status]
