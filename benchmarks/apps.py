"""The same two routes in each framework, plain, with metlo_otel, with OpenTelemetry's contrib, and with both."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

BODY = json.dumps({"items": [{"id": n, "name": f"item {n}", "note": "x" * 40} for n in range(24)]}).encode()[:2048]
BODY = BODY[: BODY.rindex(b"},")] + b"}]}"
HEADERS = {
    "Host": "shop.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
    "Accept": "application/json,text/html;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://shop.example/items?page=2",
    "Cookie": "session=0123456789abcdef; theme=dark",
    "Authorization": "Bearer 0123456789abcdef0123456789abcdef",
    "X-Request-Id": "6f1ed002ab5595859014ebf0951522d9",
}
Call = Callable[[], None]
VARIANTS = ("plain", "metlo", "contrib", "contrib+metlo")


def _environ(method: str) -> dict[str, Any]:
    body = BODY if method == "POST" else b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/items/42",
        "QUERY_STRING": "page=2&sort=name",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()})
    if body:
        environ.update({"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))})
    return environ


def wsgi_call(app: Any, method: str) -> Call:
    """One request to a WSGI app, its response read to the end and closed."""

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        assert status.startswith("200"), status
        return lambda data: None

    def call() -> None:
        result = app(_environ(method), start_response)
        for _ in result:
            pass
        if hasattr(result, "close"):
            result.close()

    return call


def asgi_call(app: Any, method: str, loop: asyncio.AbstractEventLoop) -> Call:
    """One request to an ASGI app on `loop`."""
    body = BODY if method == "POST" else b""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    def call() -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/items/42",
            "raw_path": b"/items/42",
            "query_string": b"page=2&sort=name",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 8000),
        }
        loop.run_until_complete(app(scope, receive, send))

    return call


def flask_app(variant: str, options: dict[str, Any]) -> Any:
    """A Flask app as `variant` has it."""
    import flask
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    from metlo_otel.flask import MetloFlask

    app = flask.Flask(__name__)

    @app.route("/items/<int:id>", methods=["GET", "POST"])
    def item(id: int) -> Any:  # noqa: A002 - the route's own name for it
        given = flask.request.get_json() if flask.request.method == "POST" else None
        return {"id": id, "name": "shoe", "count": len(given["items"]) if given else 0}

    if "contrib" in variant:
        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]  # contrib types it not
    if "metlo" in variant:
        MetloFlask(app, **options)
    return app


def fastapi_app(variant: str, options: dict[str, Any]) -> Any:
    """A FastAPI app as `variant` has it."""
    from fastapi import FastAPI, Request
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from metlo_otel.fastapi import ASGIMiddleware

    # FastAPI makes server spans by itself since 0.165, not where contrib's middleware is; `plain` is without tracing
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    async def item(id: int, request: Request) -> Any:  # noqa: A002 - the route's own name for it
        given = await request.json() if request.method == "POST" else None
        return {"id": id, "name": "shoe", "count": len(given["items"]) if given else 0}

    item.__annotations__["request"] = Request
    app.api_route("/items/{id}", methods=["GET", "POST"])(item)
    if "metlo" in variant:
        app.add_middleware(ASGIMiddleware, **options)
    if "contrib" in variant:
        FastAPIInstrumentor.instrument_app(app)
    return app


def django_app(variant: str, options: dict[str, Any]) -> Any:
    """A Django WSGI handler as `variant` has it."""
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.urls import path
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    def item(request: Any, id: int) -> Any:  # noqa: A002 - the route's own name for it
        given = json.loads(request.body) if request.method == "POST" else None
        return JsonResponse({"id": id, "name": "shoe", "count": len(given["items"]) if given else 0})

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=(path("items/<int:id>", item),), ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=[]
        )
        django.setup()
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    settings.METLO_CONFIG = options
    if "metlo" in variant:
        settings.MIDDLEWARE.append("metlo_otel.django.MetloDjango")
    if "contrib" in variant:
        DjangoInstrumentor().instrument()
    handler = WSGIHandler()
    if "contrib" in variant:
        DjangoInstrumentor().uninstrument()
    return handler
