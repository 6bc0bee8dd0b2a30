"""Which exchange the running code belongs to."""

from __future__ import annotations

from contextvars import ContextVar

from metlo_otel.core.exchange import Exchange

current_exchange: ContextVar[Exchange | None] = ContextVar("metlo_otel_exchange", default=None)


def set_user(user: str | int | None) -> None:
    """Say who makes the request that is being served; wins over GET_USER. Does nothing outside a request."""
    exchange = current_exchange.get()
    if exchange is not None:
        exchange.user = None if user is None else str(user)
