"""What a capture asks of the agent: to open an exchange, and to be told when the response starts and ends."""

from __future__ import annotations

from typing import Protocol

from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.request import Request


class Gate(Protocol):
    """The agent as the captures see it. None of its methods raises, waits or touches the network."""

    @property
    def guard(self) -> Guard:
        """What our own code runs in."""

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide: a rule, or a blocked user."""

    def start(self) -> None:
        """Start the worker, which fetches the rules; where the process serves, and will not fork to do so."""

    def open(self, request: Request, outer: Exchange | None = None) -> Exchange | None:
        """A new exchange, within the one of another agent; None where this request is not ours to look at."""

    def join(self, exchange: Exchange) -> None:
        """Take trace and span ids from the server span that is current, and mark that span."""

    def enrich(self, exchange: Exchange) -> None:
        """Put on that span what belongs there, while it has not ended."""

    def streaming(self, exchange: Exchange) -> None:
        """The response may go on for long: close the exchange by a time limit, even when it does not end."""

    def flush(self, seconds: float) -> bool:
        """Send what waits, within `seconds`; whether all of it went out."""
