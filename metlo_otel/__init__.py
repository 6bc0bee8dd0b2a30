"""The API security agent for Python web apps, built on OpenTelemetry."""

__version__ = "0.1.0"
