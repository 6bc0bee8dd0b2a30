"""The API security agent for Python web apps, built on OpenTelemetry."""

from metlo_otel.core.current import set_user

__all__ = ["__version__", "set_user"]
__version__ = "0.1.0"
