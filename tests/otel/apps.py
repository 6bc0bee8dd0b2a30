"""The same three routes in every framework, made with the agent, OpenTelemetry, both, or hooks; and requests."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

from metlo_otel import hooks

FRAMEWORKS = ("flask", "django-wsgi", "django-asgi", "fastapi", "starlette", "wsgi", "asgi")
MODES = ("facade", "contrib-facade", "exporter", "hooks")
ZERO_CODE = ("flask", "django-wsgi", "django-asgi", "fastapi", "starlette")

# What no exporter but Metlo's may ever see.
SECRETS = ("secret-of-header", "secret-of-body", "secret-of-answer", "secret-of-response", "secret-of-stream")
HEADERS = {"Host": "shop.example", "X-Probe": "secret-of-header", "User-Agent": "probe/1"}
BODY = json.dumps({"note": "secret-of-body"}).encode()
ANSWER = json.dumps({"id": 7, "note": "secret-of-response"}).encode()
CHUNKS = [b"one secret-of-stream ", b"two ", b"three"]
ANSWER_HEADER = ("X-Answer", "secret-of-answer")

Send = Callable[[str, str, dict[str, str], bytes], tuple[int, bytes]]


class Set:
    """How the apps are to be made: the agent's settings, a tracer provider or None for the global one."""

    def __init__(self, settings: dict[str, Any], provider: Any = None) -> None:
        self.settings = settings
        self.provider = provider

    def make(self, framework: str, mode: str) -> Send:
        """An app of this framework and mode, as the function that sends it a request."""
        made: Send = getattr(self, framework.replace("-", "_"))(mode)
        return made

    def flask(self, mode: str) -> Send:
        """Flask: contrib's instrumentation of one app."""
        import flask

        app = flask.Flask("shop")

        @app.route("/items/<int:id>", methods=["GET", "POST"])
        def item(id: int) -> Any:  # noqa: A002 - the route's own name for it
            flask.request.get_data()
            return flask.Response(ANSWER, headers=[ANSWER_HEADER], content_type="application/json")

        @app.get("/stream")
        def stream() -> Any:
            return flask.Response(iter(CHUNKS), content_type="text/plain")

        if "facade" in mode:
            from metlo_otel.flask import MetloFlask

            MetloFlask(app, **self.settings)
        if mode not in ("facade", "cli"):
            from opentelemetry.instrumentation.flask import FlaskInstrumentor

            given = _request_and_response(mode, hooks.flask_request_hook, hooks.flask_response_hook)
            FlaskInstrumentor().instrument_app(app, tracer_provider=self.provider, **given)  # type: ignore[no-untyped-call]  # contrib leaves it untyped
        return _wsgi_sender(app)

    def django_wsgi(self, mode: str) -> Send:
        """Django under WSGI, with sync views."""
        return _wsgi_sender(self._django(mode, "WSGIHandler"))

    def django_asgi(self, mode: str) -> Send:
        """Django under ASGI, with async views."""
        return _asgi_sender(self._django(mode, "ASGIHandler"), "/async")

    def _django(self, mode: str, handler: str) -> Any:
        from django.conf import settings
        from django.core.handlers import asgi, wsgi
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        if mode == "cli":
            return getattr(wsgi if handler == "WSGIHandler" else asgi, handler)()
        settings.METLO_CONFIG = {name.upper(): value for name, value in self.settings.items()}
        settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
        if "facade" in mode:
            settings.MIDDLEWARE.append("metlo_otel.django.MetloDjango")
        if mode != "facade":
            hooked = {
                "request_hook": _only_hooks(hooks.django_request_hook),
                "response_hook": _only_hooks(hooks.django_response_hook),
            }
            DjangoInstrumentor().instrument(tracer_provider=self.provider, **hooked)
        try:
            return getattr(wsgi if handler == "WSGIHandler" else asgi, handler)()
        finally:
            if mode != "facade":
                DjangoInstrumentor().uninstrument()

    def fastapi(self, mode: str) -> Send:
        """FastAPI: contrib's instrumentation of one app."""
        from fastapi import FastAPI, Request
        from fastapi.responses import Response, StreamingResponse

        app = FastAPI()

        async def item(id: int, request: Request) -> Any:  # noqa: A002 - the route's own name for it
            await request.body()
            return Response(ANSWER, headers=dict([ANSWER_HEADER]), media_type="application/json")

        async def stream() -> Any:
            return StreamingResponse(_chunks(), media_type="text/plain")

        item.__annotations__["request"] = Request
        app.api_route("/items/{id}", methods=["GET", "POST"])(item)
        app.get("/stream")(stream)
        if "facade" in mode:
            from metlo_otel.fastapi import ASGIMiddleware

            app.add_middleware(ASGIMiddleware, **self.settings)
        if mode not in ("facade", "cli"):
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

            FastAPIInstrumentor.instrument_app(app, tracer_provider=self.provider, **_asgi_hooks(mode))
        return _asgi_sender(app)

    def starlette(self, mode: str) -> Send:
        """Starlette: contrib's instrumentation of one app."""
        from starlette import applications
        from starlette.requests import Request
        from starlette.responses import Response, StreamingResponse
        from starlette.routing import Route

        async def item(request: Request) -> Any:
            await request.body()
            return Response(ANSWER, headers=dict([ANSWER_HEADER]), media_type="application/json")

        async def stream(request: Request) -> Any:
            return StreamingResponse(_chunks(), media_type="text/plain")

        routes = [Route("/items/{id}", item, methods=["GET", "POST"]), Route("/stream", stream)]
        app = applications.Starlette(routes=routes)
        if "facade" in mode:
            from metlo_otel.asgi import ASGIMiddleware

            app.add_middleware(ASGIMiddleware, **self.settings)
        if mode not in ("facade", "cli"):
            from opentelemetry.instrumentation.starlette import StarletteInstrumentor

            StarletteInstrumentor.instrument_app(app, tracer_provider=self.provider, **_asgi_hooks(mode))
        return _asgi_sender(app)

    def wsgi(self, mode: str) -> Send:
        """A WSGI app of no framework."""

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            stream = environ["PATH_INFO"] == "/stream"
            kind = "text/plain" if stream else "application/json"
            start_response("200 OK", [("Content-Type", kind), ANSWER_HEADER])
            return iter(CHUNKS) if stream else [ANSWER]

        served: Any = app
        if "facade" in mode:
            from metlo_otel.wsgi import WSGIMiddleware

            served = WSGIMiddleware(served, **self.settings)
        if mode != "facade":
            from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

            given = _request_and_response(mode, hooks.wsgi_request_hook, hooks.wsgi_response_hook)
            served = OpenTelemetryMiddleware(served, tracer_provider=self.provider, **given)
        return _wsgi_sender(served)

    def asgi(self, mode: str) -> Send:
        """An ASGI app of no framework."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (await receive()).get("more_body"):
                pass
            stream = scope["path"] == "/stream"
            kind = b"text/plain" if stream else b"application/json"
            headers = [(b"content-type", kind), tuple(part.encode() for part in ANSWER_HEADER)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for chunk in CHUNKS if stream else []:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"" if stream else ANSWER})

        served: Any = app
        if "facade" in mode:
            from metlo_otel.asgi import ASGIMiddleware

            served = ASGIMiddleware(served, **self.settings)
        if mode != "facade":
            from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

            served = OpenTelemetryMiddleware(served, tracer_provider=self.provider, **_asgi_hooks(mode))
        return _asgi_sender(served)


async def _chunks() -> Any:
    for chunk in CHUNKS:
        yield chunk


def _request_and_response(mode: str, request_hook: Any, response_hook: Any) -> dict[str, Any]:
    return {"request_hook": request_hook, "response_hook": response_hook} if mode == "hooks" else {}


def _asgi_hooks(mode: str) -> dict[str, Any]:
    names = ("server_request_hook", "client_request_hook", "client_response_hook")
    return {name: getattr(hooks, "asgi_" + name) for name in names} if mode == "hooks" else {}


def _only_hooks(hook: Any) -> Any:
    """Django's hooks are the process's: here they are called for the apps that have hooks alone."""

    def called(span: Any, request: Any, *rest: Any) -> None:
        if ".hooks" in request.META["QUERY_STRING"]:
            hook(span, request, *rest)

    return called


def _wsgi_sender(app: Any) -> Send:
    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        environ.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()})
        if body:
            environ.update({"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))})
        statuses: list[str] = []
        result = app(environ, lambda status, headers, exc_info=None: statuses.append(status))
        try:
            sent = b"".join(result)
        finally:
            getattr(result, "close", lambda: None)()
        return int(statuses[-1][:3]), sent

    return send


def _asgi_sender(app: Any, prefix: str = "") -> Send:
    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        path, _, query = (prefix + target).partition("?")
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if body:
            raw += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw,
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 8000),
        }
        return asyncio.run(_call_asgi(app, scope, body))

    return send


async def _call_asgi(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    given = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
