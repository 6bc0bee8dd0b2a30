"""Which exchange the running code belongs to."""

from __future__ import annotations

from contextvars import ContextVar

from metlo_otel.core.exchange import Exchange
from metlo_otel.core.tracing import hooked_exchange

current_exchange: ContextVar[Exchange | None] = ContextVar("metlo_otel_exchange", default=None)

# Where environ, META and scope carry the exchange, for those around the middleware that opened it. None there means
# that a middleware has looked and left the request out.
CARRIED = "metlo_otel.exchange"


def set_user(user: str | int | None) -> None:
    """Say who makes the request that is being served; wins over GET_USER. Does nothing outside a request."""
    exchange = current_exchange.get() or hooked_exchange()
    if exchange is not None:
        exchange.user = None if user is None else str(user)
