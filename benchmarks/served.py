"""The app that real servers serve for `benchmarks.cost`: one route, with whom COST_VARIANT names in front of it.

It imports nothing of metlo_otel unless the variant asks for it, since peers run in environments of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

VARIANT = os.environ.get("COST_VARIANT", "plain")
OPTIONS: dict[str, Any] = json.loads(os.environ.get("COST_OPTIONS", "{}"))
HOST = os.environ.get("COST_COLLECTOR", "http://127.0.0.1:9")
KEY = "benchmark"
ANSWER = {"id": 42, "items": [{"id": n, "name": f"item {n}", "note": "x" * 40} for n in range(24)]}


def _ours() -> bool:
    return "metlo" in VARIANT.split("+")


def _trace_globally() -> None:
    """The set-up that contrib is used with: an SDK provider whose spans are batched (and here thrown away)."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    trace.set_tracer_provider(provider)


def _prepare() -> None:
    """What a variant wants done before the framework is imported."""
    if "contrib" in VARIANT:
        _trace_globally()
    if VARIANT == "ddtrace":
        import ddtrace.auto  # noqa: F401 - patches what is imported after it
    if VARIANT == "sentry":
        import sentry_sdk  # type: ignore[import-not-found]  # in the environment of the peers

        # a DSN of nobody on loopback: events are made and thrown away by the transport
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, send_default_pii=False)


def stats() -> dict[str, Any]:
    """The numbers of the agent in this process."""
    from metlo_otel import agent

    (found,) = list(agent._AGENTS)
    numbers = found.stats()
    return {name: _plain(getattr(numbers, name)) for name in numbers.__slots__}


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float) else dict(value)


def flask_app() -> Any:
    """A Flask app."""
    _prepare()
    import flask

    app = flask.Flask(__name__)

    @app.post("/items/<int:id>")
    def item(id: int) -> Any:  # noqa: A002 - the route's own name for it
        given = flask.request.get_json()
        return {**ANSWER, "id": id, "count": len(given["items"])}

    if _ours():
        app.get("/stats")(stats)
    if "contrib" in VARIANT:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]  # contrib types it not
    if VARIANT == "original":
        from metlo.flask import MetloFlask as Original

        Original(app, HOST, KEY)
    if _ours():
        from metlo_otel.flask import MetloFlask

        MetloFlask(app, HOST, KEY, **OPTIONS)
    return app


def fastapi_app() -> Any:
    """A FastAPI app."""
    _prepare()
    from fastapi import FastAPI, Request

    try:  # FastAPI makes server spans by itself since 0.165; `plain` is without tracing
        app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    except TypeError:
        app = FastAPI()

    async def item(id: int, request: Request) -> Any:  # noqa: A002 - the route's own name for it
        given = await request.json()
        return {**ANSWER, "id": id, "count": len(given["items"])}

    item.__annotations__["request"] = Request
    app.post("/items/{id}")(item)
    if _ours():
        from metlo_otel.fastapi import ASGIMiddleware

        app.get("/stats")(stats)
        app.add_middleware(ASGIMiddleware, host=HOST, api_key=KEY, **OPTIONS)
    if VARIANT == "original":
        from metlo.fastapi import ASGIMiddleware as Original

        app.add_middleware(Original, host=HOST, api_key=KEY)
    if "contrib" in VARIANT:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    return app


def django_app() -> Any:
    """A Django WSGI handler."""
    _prepare()
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.urls import path

    def item(request: Any, id: int) -> Any:  # noqa: A002 - the route's own name for it
        return JsonResponse({**ANSWER, "id": id, "count": len(json.loads(request.body)["items"])})

    def numbers(request: Any) -> Any:
        return JsonResponse(stats())

    middleware = ["django.middleware.common.CommonMiddleware"]
    middleware += ["metlo_otel.django.MetloDjango"] if _ours() else []
    middleware += ["metlo.django.MetloDjango"] if VARIANT == "original" else []
    given = {"API_KEY": KEY, "METLO_HOST": HOST, **OPTIONS}
    urls = (path("items/<int:id>", item), path("stats", numbers))
    settings.configure(
        ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=middleware, METLO_CONFIG=given
    )
    if "contrib" in VARIANT:
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        DjangoInstrumentor().instrument()
    django.setup()
    return WSGIHandler()


_MAKERS: dict[str, Callable[[], Any]] = {"flask": flask_app, "fastapi": fastapi_app, "django": django_app}
if "COST_FRAMEWORK" in os.environ:
    app = _MAKERS[os.environ["COST_FRAMEWORK"]]()
