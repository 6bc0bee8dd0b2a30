"""The documented import path for FastAPI and Starlette."""

from metlo_otel.asgi import ASGIMiddleware

__all__ = ["ASGIMiddleware"]
