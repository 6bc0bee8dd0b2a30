"""Which exchange a log line is about: its id, as the app's span has it, and its trace's."""

from __future__ import annotations

from types import MethodType

from opentelemetry.trace import format_trace_id

from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.record import Record
from metlo_otel.core.tracing import EXCHANGE_ID

TRACE_ID = "metlo.trace.id"  # no record factory of an app's has this name: one that is taken would be an error


def ids_of(*about: object) -> dict[str, str]:
    """The ids of the first of these that is an exchange, its record or a method of one, else of the exchange whose code
    is running; those that it has. Nothing is asked of the others, which may be the app's.
    """
    for each in (*about, current_exchange.get()):
        found = each.__self__ if type(each) is MethodType else each
        if type(found) is Exchange:
            context = found.span or found.parent
            return _named(found.id, context.trace_id if context else 0)
        if type(found) is Record:
            return _named(found.exchange_id, found.trace_id)
    return {}


def in_words(ids: dict[str, str]) -> str:
    """The same behind a message; nothing where there is none."""
    names = {EXCHANGE_ID: "exchange", TRACE_ID: "trace"}
    told = ", ".join(f"{names[name]} {value}" for name, value in ids.items())
    return f" ({told})" if told else ""


def _named(exchange_id: str | None, trace_id: int) -> dict[str, str]:
    found = {EXCHANGE_ID: exchange_id, TRACE_ID: format_trace_id(trace_id) if trace_id else None}
    return {name: value for name, value in found.items() if value is not None}
