"""Several agents around one app: a request is reported once to each destination, and its limits count it once.

What finds the others is carried by environ, META or scope, not by a context variable: an app that asks another one in
the same process, in the middle of a request, makes a request of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from metlo_otel.core.current import CARRIED, current_exchange
from metlo_otel.core.exchange import PASS, Exchange, Opener
from metlo_otel.core.settings import Settings


def carried(carrier: MutableMapping[str, Any]) -> Exchange | None:
    """The exchange that another middleware has open for this request; one that has ended is of an earlier use."""
    exchange: Exchange | None = carrier.get(CARRIED)
    return exchange if exchange is not None and exchange.on_close is not None else None


def carry(carrier: MutableMapping[str, Any], exchange: Exchange | None) -> None:
    """Have environ, META or scope carry `exchange`. None, for a request that is left out, replaces no other's."""
    if exchange is not None or CARRIED not in carrier:
        carrier[CARRIED] = exchange


def own_exchange(agent: Opener) -> Exchange | None:
    """The exchange of the running code that `agent` opened, not one of another agent around the same app."""
    exchange = current_exchange.get()
    while exchange is not None and exchange.opener is not agent:
        exchange = exchange.outer
    return exchange


def around(exchange: Exchange, settings: Settings) -> list[tuple[Exchange, Opener]]:
    """`exchange` and those outside of it that report to the destination of `settings`, the innermost first."""
    destination = _destination(settings)
    return [found for found in _outwards(exchange) if _destination(found[1].settings) == destination]


def nest(exchange: Exchange, outer: Exchange, others: list[tuple[Exchange, Opener]]) -> None:
    """`exchange` is of an agent inside of `outer`; `others` are those around it with the same destination."""
    exchange.outer = outer
    exchange.counted = frozenset().union(*(opener.rule_ids() for _, opener in others))


def tell_outer(exchange: Exchange) -> None:
    """What was found of a request that is reported further out, for that report."""
    if exchange.outer is None or exchange.captured or exchange.opener is None:
        return
    for outer, _ in around(exchange.outer, exchange.opener.settings):
        outer.user = outer.user or exchange.user
        outer.route = outer.route or exchange.route
        outer.attacks = outer.attacks or exchange.attacks
        if outer.verdict is PASS:
            outer.verdict = exchange.verdict


def _outwards(exchange: Exchange | None) -> Iterator[tuple[Exchange, Opener]]:
    while exchange is not None:
        if exchange.opener is not None:
            yield exchange, exchange.opener
        exchange = exchange.outer


def _destination(settings: Settings) -> tuple[str, str]:
    return settings.collector_url, settings.api_key
