"""Server spans for one WSGI app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp


def traced(app: WSGIApp) -> WSGIApp:
    """`app` within OpenTelemetry's middleware, for requests that nobody traces yet."""
    middleware: Any = OpenTelemetryMiddleware(app)

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_traced = trace.get_current_span() is not trace.INVALID_SPAN
        found: Iterable[bytes] = (app if is_traced else middleware)(environ, start_response)
        return found

    return serve
