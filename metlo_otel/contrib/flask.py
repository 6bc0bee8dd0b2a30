"""Server spans for one Flask app."""

from __future__ import annotations

from typing import Any

from metlo_otel.capture.wsgi import WSGIApp


def traced(app: Any, wsgi_app: WSGIApp) -> WSGIApp:
    """`wsgi_app` as OpenTelemetry's instrumentation for this Flask app wraps it; as it is where that runs already."""
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return wsgi_app
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    given, app.wsgi_app = app.wsgi_app, wsgi_app
    try:
        instrumentor: Any = FlaskInstrumentor()  # untyped
        instrumentor.instrument_app(app)
        return app.wsgi_app  # type: ignore[no-any-return]  # what it made of ours
    finally:
        app.wsgi_app = given
