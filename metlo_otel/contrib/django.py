"""Server spans for one Django handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metlo_otel.core.guard import Guard

PATH = "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"


def tracing_middleware(settings: Any) -> Any:
    """OpenTelemetry's Django middleware, set up, for its process_* methods; None where it is installed or switched off.

    Its instrumentor sets it up as a side effect of putting it into the settings' MIDDLEWARE, which are given back.
    """
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware

    given = settings.MIDDLEWARE
    if PATH in given:
        return None
    instrumentor = DjangoInstrumentor()
    instrumentor.instrument()
    instrumentor.uninstrument()
    settings.MIDDLEWARE = given
    return _DjangoMiddleware(None) if _DjangoMiddleware._tracer is not None else None


def traced(serve: Callable[[Any], Any], spans: Any, guard: Guard, is_async: bool) -> Callable[[Any], Any]:
    """`serve` between the two halves of OpenTelemetry's middleware, which is sync only but waits for nothing."""

    def sync(request: Any) -> Any:
        guard.run(spans.process_request, request)
        response = serve(request)
        return guard.run(spans.process_response, request, response) or response

    async def native(request: Any) -> Any:
        guard.run(spans.process_request, request)
        response = await serve(request)
        return guard.run(spans.process_response, request, response) or response

    return native if is_async else sync
