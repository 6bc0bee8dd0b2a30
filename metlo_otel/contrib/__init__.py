"""OpenTelemetry's own instrumentations, run for one app that has none: TRACING="instrument"."""

from __future__ import annotations

from importlib.util import find_spec

from metlo_otel.core.settings import Problem, Settings, SettingsError


def require(settings: Settings, framework: str) -> None:
    """Raise SettingsError where TRACING="instrument" needs an instrumentation that is not installed.

    `framework` is `flask` or `django`: the instrumentation's name, and that of the extra which brings it.
    """
    if settings.tracing == "instrument" and find_spec(f"opentelemetry.instrumentation.{framework}") is None:
        needs = f"is 'instrument', which needs the extra: pip install 'metlo-otel[{framework}]'"
        raise SettingsError([Problem("value", "TRACING", needs)])
