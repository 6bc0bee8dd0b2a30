"""`metlo.fastapi.ASGIMiddleware`, as documented."""

from metlo_otel.fastapi import ASGIMiddleware

__all__ = ["ASGIMiddleware"]
