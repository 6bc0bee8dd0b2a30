"""Server spans for one ASGI app."""

from __future__ import annotations

import inspect
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from metlo_otel.capture.asgi_types import ASGIApp, Receive, Scope, Send


def traced(app: ASGIApp) -> ASGIApp:
    """`app` within OpenTelemetry's middleware, for requests that nobody traces yet. No span for each message."""
    has_option = "exclude_spans" in inspect.signature(OpenTelemetryMiddleware).parameters
    options: dict[str, Any] = {"exclude_spans": ["receive", "send"]} if has_option else {}
    middleware = OpenTelemetryMiddleware(app, **options)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if _is_traced(scope) else middleware)(scope, receive, send)

    return serve


def _is_traced(scope: Scope) -> bool:
    """Whether a span is current, or Starlette's app has an instrumentation further in."""
    if trace.get_current_span() is not trace.INVALID_SPAN:
        return True
    return bool(getattr(scope.get("app"), "_is_instrumented_by_opentelemetry", False))
