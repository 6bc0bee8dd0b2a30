"""What SPAN_ATTRIBUTES puts on the app's own span: masked, and within bounds of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import Span

from metlo_otel.core.exchange import Body, Exchange, RawHeaders
from metlo_otel.core.guard import Guard
from metlo_otel.core.settings import Settings
from metlo_otel.export.masking import mask
from metlo_otel.export.spans import attributes_of
from metlo_otel.reading.record import read_exchange

Answer = tuple[int, RawHeaders, Iterable[Any]]
"""The status, headers and chunks of a response that is about to be sent."""

_MOST_HEADERS = 32  # a side
_LONGEST_HEADER = 1024  # characters of one value
_LONGEST_BODY = 16 * 1024  # characters
_SPARE = 16  # attributes left to the app and its instrumentation: an SDK's span drops the oldest when it is full
_SIDES = ("request", "response")


class Enrichment:
    """Puts headers, sizes and the user on a span, and with `bodies` what the exchange holds of the bodies."""

    @staticmethod
    def wanted(settings: Settings) -> bool:
        """Whether SPAN_ATTRIBUTES asks for anything of the exchange."""
        return settings.span_attributes in ("headers", "bodies")

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._bodies = settings.span_attributes == "bodies"
        self._most = SpanLimits().max_span_attributes or 128

    def put(self, exchange: Exchange, span: Span, answer: Callable[[], Answer] | None = None) -> None:
        """Put what is known of the exchange on `span`; `answer` stands in for what it does not hold."""
        seen = self._seen(exchange, *(answer() if answer is not None else (0, exchange.response_headers, ())))
        record = mask(read_exchange(seen, self._settings, self._guard), self._settings.masked_fields)
        found = self._chosen(attributes_of(record))
        room = self._most - _SPARE - len(getattr(span, "attributes", None) or ())
        span.set_attributes(dict(list(found.items())[: max(room, 0)]))

    def _seen(self, exchange: Exchange, status: int, headers: RawHeaders, body: Iterable[Any]) -> Exchange:
        """The exchange as it will be, as far as the span needs it; it is never closed."""
        seen = Exchange(exchange.request, self._settings.max_body, captured=False)
        answered = exchange.response_body if exchange.response_body.size else _body(body, seen.response_body)
        if self._bodies:
            seen.request_body, seen.response_body = exchange.request_body, answered
        else:  # their sizes alone: nothing of them is decoded or masked for nothing
            seen.request_body, seen.response_body = _sized(exchange.request_body), _sized(answered)
        seen.response_headers = headers
        seen.status = exchange.status or status
        seen.user = exchange.user
        return seen

    def _chosen(self, found: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {name: found[name] for name in ("user.id",) if name in found}
        for side in _SIDES:
            names = [f"http.{side}.body.size", *([f"http.{side}.body.content"] if self._bodies else [])]
            chosen.update({name: _cut(found[name]) for name in names if name in found})
        for side in _SIDES:
            headers = [name for name in found if name.startswith(f"http.{side}.header.")]
            chosen.update({name: _cut(found[name]) for name in headers[:_MOST_HEADERS]})
        return chosen


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST_BODY]
    return tuple([item[:_LONGEST_HEADER] for item in value]) if isinstance(value, tuple) else value


def _sized(body: Body) -> Body:
    counted = Body(0)
    counted.size = body.size
    return counted


def _body(chunks: Iterable[Any], body: Body) -> Body:
    for chunk in chunks:
        body.add(chunk if isinstance(chunk, bytes) else str(chunk).encode())
    return body
