"""What a capture asks of the agent: to open an exchange, and to be told when the response starts and ends."""

from __future__ import annotations

from typing import Protocol

from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.request import Request


class Gate(Protocol):
    """The agent as the captures see it. None raises or touches the network; those wait that say so."""

    @property
    def guard(self) -> Guard:
        """What our own code runs in."""

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide: a rule, or a blocked user."""

    @property
    def awaits_rules(self) -> bool:
        """Whether a request should wait for the first configuration: once a process, where none was kept."""

    def start(self) -> None:
        """Start the worker, which fetches the rules; where the process serves, and will not fork to do so."""

    def wait_for_rules(self) -> None:
        """Wait for the first configuration, within FIRST_RULES_WAIT."""

    async def wait_for_rules_async(self) -> None:
        """As wait_for_rules(), while the event loop goes on."""

    def open(self, request: Request, outer: Exchange | None = None) -> Exchange | None:
        """A new exchange, within the one of another agent; None where this request is not ours to look at."""

    def join(self, exchange: Exchange) -> None:
        """Take trace and span ids from the server span that is current, and mark that span."""

    def enrich(self, exchange: Exchange) -> None:
        """Put on that span what belongs there, while it has not ended."""

    def streaming(self, exchange: Exchange) -> None:
        """The response may go on for long: close the exchange by a time limit, even when it does not end."""

    def finish(self) -> bool:
        """At the end: send what waits, within three seconds; whether all of it went out."""
