"""Exchanges as a way in leaves them."""

from __future__ import annotations

from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import EnvironRequest, ScopeRequest

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/shop",
    "QUERY_STRING": "",
    "SERVER_NAME": "10.0.0.9",
    "SERVER_PORT": "8000",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "40000",
    "HTTP_HOST": "shop.example",
    "HTTP_USER_AGENT": "test/1.0",
    "SERVER_PROTOCOL": "HTTP/1.1",
}


def wsgi_exchange(
    body: bytes = b"", answer: bytes = b'{"ok":true}', status: int = 200, max_body: int = 5120, **environ: str
) -> Exchange:
    """A closed WSGI exchange; keywords go into the environ."""
    made = Exchange(EnvironRequest({**ENVIRON, **environ}), max_body)
    made.request_body.add(body)
    made.response_body.add(answer)
    made.response_headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    made.status = status
    made.ended = made.started + 1_000_000
    return made


def asgi_exchange(body: bytes = b"", max_body: int = 5120, **scope: object) -> Exchange:
    """A closed ASGI exchange; keywords go into the scope."""
    base = {
        "type": "http",
        "method": "GET",
        "path": "/shop",
        "query_string": b"",
        "headers": [(b"host", b"shop.example")],
    }
    made = Exchange(ScopeRequest({**base, **scope}), max_body)
    made.request_body.add(body)
    made.response_headers = [(b"content-type", b"application/json")]
    made.response_body.add(b"{}")
    made.status = 200
    made.ended = made.started + 1_000_000
    return made
