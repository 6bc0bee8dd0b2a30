"""ASGI headers, which may be any iterable: noted without taking them from whom they are for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from metlo_otel.capture.asgi_types import Message, Scope
from metlo_otel.core.exchange import Exchange


def note_headers(exchange: Exchange, message: Message) -> Message:
    """Note a response's headers; the message to send, which is another one only where headers can be read but once."""
    headers = message.get("headers")
    if type(headers) is list:
        exchange.response_headers = headers.copy()
    elif isinstance(headers, list):  # of the app's own kind, whose methods are not ours to call
        exchange.response_headers = list.copy(headers)
    elif isinstance(headers, tuple):
        exchange.response_headers = list(tuple.__iter__(headers))
    elif headers is not None:
        found: list[tuple[bytes, bytes]] = []
        exchange.response_headers = found
        return {**message, "headers": _noting(headers, found)}
    return message


def _noting(headers: Iterable[Iterable[bytes]], found: list[tuple[bytes, bytes]]) -> Iterator[Iterable[bytes]]:
    """The headers, in the moment in which the server reads them."""
    for header in headers:
        pair: Any = header if isinstance(header, (tuple, list)) else tuple(header)
        found.append(pair)
        yield pair


def readable(scope: Scope) -> Mapping[str, Any]:
    """A scope whose headers can be read many times, for us; the app's can be read as often as before."""
    headers = scope.get("headers")
    if headers is None or isinstance(headers, (list, tuple)):
        return scope
    found = list(headers)
    scope["headers"] = iter(found) if hasattr(type(headers), "__next__") else found
    return {**scope, "headers": found}
