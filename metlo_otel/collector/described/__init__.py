"""The collector's HTTP API described in OpenAPI 3.1: served by itself, and the reference of the docs."""

from __future__ import annotations

from metlo_otel.collector.described.document import describe

__all__ = ["describe"]
