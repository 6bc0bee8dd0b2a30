"""Joining the app's own trace: ids are read from its server span, and small markers put on it."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from metlo_otel.core.exchange import PASS, Exchange
from metlo_otel.core.request import Request

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

EXCHANGE_ID = "metlo.exchange.id"
_64_BITS = 2**64 - 1
_SERVER = SpanKind.SERVER
# Where OpenTelemetry keeps the current span: looked up there at once, the span is found in a third of the time that
# get_current_span() takes, which every request would pay twice.
(_CURRENT,) = trace.set_span_in_context(INVALID_SPAN, Context())
_W3C = TraceContextTextMapPropagator()
_Key = tuple[int, int]


class RecentSpans:
    """The ids of spans that an exchange has joined: at most `most`, at least the last half of them, for `seconds`.

    `watched` is set by who is going to ask, an exporter or hooks that record: before, only spans without a mark are
    noted.

    The older half is let go at once: to drop the oldest of a dict one by one costs 4 µs each (measured), as each time
    the search for it begins in front of those that were dropped before.
    """

    def __init__(self, most: int = 10_000, seconds: float = 900.0) -> None:
        self.watched = False
        self._half = most // 2
        self._seconds = seconds
        self._newer: dict[_Key, float] = {}
        self._older: dict[_Key, float] = {}

    def add(self, trace_id: int, span_id: int) -> None:
        """Note a span. Takes no lock, which a fork could leave held: a dict's own operations are whole."""
        newer = self._newer
        newer[trace_id, span_id] = time.monotonic()
        if len(newer) >= self._half and newer is self._newer:
            self._older, self._newer = newer, {}

    def __contains__(self, context: SpanContext) -> bool:
        key = context.trace_id, context.span_id
        noted = self._newer.get(key) or self._older.get(key)
        return noted is not None and time.monotonic() - noted < self._seconds

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)


# The process's own, as the spans are: who exports them is not told which agents there are.
joined = RecentSpans()
_hooked: weakref.WeakValueDictionary[_Key, Exchange] = weakref.WeakValueDictionary()


def join(exchange: Exchange) -> None:
    """Note the app's server span on the exchange, if one is current, and mark it with the exchange's id."""
    span = get_current().get(_CURRENT)
    if span is not None and span is not INVALID_SPAN:
        bind(exchange, span)  # type: ignore[arg-type]  # what stands under this key is a span


def bind(exchange: Exchange, span: Span, note: bool = True) -> None:
    """Note `span` as the app's server span; the first one counts, and one that records is kept to put things on.

    A span of another kind (contrib's "http send" spans) stands for its parent in the same trace. A remote span means
    that the app has only extracted the caller's context: it is the parent, as the `traceparent` header would be.
    With `note`, exporters in this process leave the span out, because the exchange will be reported: they know it by
    its mark, and by what is noted here: SPAN_ATTRIBUTES may say `none`, a full span drops its oldest attributes.
    """
    if exchange.live is not None or exchange.id is not None:
        return
    context = span.get_span_context()
    span_id = context.span_id
    if not (span_id and context.trace_id):  # it is none
        return
    if context.is_remote:
        exchange.parent = context
        return
    recording = span.is_recording()
    if not recording and getattr(span, "end_time", None):  # left behind on this thread by an earlier request
        return
    live = span if recording else None
    parent: SpanContext | None = getattr(span, "parent", None)
    if parent is not None and getattr(span, "kind", _SERVER) is not _SERVER and not parent.is_remote:
        context, span_id, live = parent, parent.span_id, None
    if exchange.span is not None and exchange.span.span_id != span_id:
        return
    exchange.span = context
    if context is not parent:
        exchange.parent = parent
        exchange.live = live
    if live is not None and exchange.marks:
        unique = (span_id ^ exchange.started) & _64_BITS  # as the span is; two exchanges may have joined the same one
        exchange.id = unique.to_bytes(8, "big").hex()
        live.set_attribute(EXCHANGE_ID, exchange.id)
    if note and (joined.watched or exchange.id is None):
        joined.add(context.trace_id, span_id)


def tell(exchange: Exchange) -> None:
    """Put what was decided on the app's span while it is there: markers, and an event at the moment it is told."""
    verdict, span = exchange.verdict, exchange.live
    if span is None or not exchange.marks or (verdict is PASS and not exchange.attacks):
        return
    found = {
        "metlo.blocked": verdict.blocked,
        "metlo.would_block": True if verdict.would_block else None,
        "metlo.rule.id": verdict.rule,
        "metlo.attack.types": exchange.attacks or None,
    }
    told = {name: value for name, value in found.items() if value is not None}
    span.set_attributes(told)
    if verdict.blocked or verdict.would_block:
        span.add_event("metlo.blocked" if verdict.blocked else "metlo.would_block", told)
    elif exchange.attacks:
        span.add_event("metlo.attack", told)


def name_by_route(exchange: Exchange) -> None:
    """Name the span that we have had made as the conventions say, once the route is known."""
    span, route = exchange.live, exchange.route
    if span is not None and isinstance(route, str):
        span.update_name(f"{exchange.request.method} {route}")
        span.set_attribute("http.route", route)


def is_reported(span: ReadableSpan) -> bool:
    """Whether an exchange of an agent in this process has joined this span, and so reports it."""
    context = span.get_span_context()
    return EXCHANGE_ID in (span.attributes or {}) or (context is not None and context in joined)


def traceparent(request: Request) -> SpanContext | None:
    """The caller's span by the `traceparent` header (W3C Trace Context); for the worker."""
    values = request.header("traceparent")
    if len(values) != 1:
        return None
    context = trace.get_current_span(_W3C.extract({"traceparent": values[0]})).get_span_context()
    return context if context.is_valid else None


def hook_onto(exchange: Exchange) -> None:
    """Have set_user() find an exchange that hooks opened: nothing of theirs runs around the app's code."""
    if exchange.span is not None:
        _hooked[exchange.span.trace_id, exchange.span.span_id] = exchange


def hooked_exchange() -> Exchange | None:
    """The exchange that hooks opened for the span that is current."""
    if not _hooked:
        return None
    context = trace.get_current_span().get_span_context()
    return _hooked.get((context.trace_id, context.span_id))
