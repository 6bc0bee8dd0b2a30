"""Joining the app's own trace: ids are read from the span that is current, and small markers put on it."""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from metlo_otel.core.exchange import Exchange

EXCHANGE_ID = "metlo.exchange.id"


def join(exchange: Exchange, mark: bool) -> None:
    """Note the app's server span on the exchange, if there is one; `mark` it with the exchange's id.

    A span of another kind (contrib's "http send" spans) stands for its parent in the same trace. A remote span means
    that the app has only extracted the caller's context: it is the parent, as the `traceparent` header would be.
    """
    span = trace.get_current_span()
    if span is INVALID_SPAN:
        return
    context = span.get_span_context()
    if not context.is_valid:
        return
    if context.is_remote:
        exchange.parent = context
        return
    parent = getattr(span, "parent", None)
    if parent is not None and getattr(span, "kind", SpanKind.SERVER) is not SpanKind.SERVER:
        exchange.span = parent
        return
    exchange.span, exchange.parent = context, parent
    if mark and span.is_recording():
        _mark(exchange, span)


def _mark(exchange: Exchange, span: Span) -> None:
    if exchange.id is None:
        exchange.id = os.urandom(8).hex()
        span.set_attribute(EXCHANGE_ID, exchange.id)
