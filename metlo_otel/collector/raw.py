"""Stored and raw traces as the values that analysis and rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlencode

from metlo_otel.core.exchange import Exchange
from metlo_otel.core.paths import Paths, as_sent, readings
from metlo_otel.core.query import Pairs as QueryPairs
from metlo_otel.core.record import Message, Pairs, Record
from metlo_otel.core.request import Address, HeaderNames, Known, Outline

_MAX_BODY = 4 * 1024 * 1024


def record_of(document: Mapping[str, Any]) -> Record:
    """The record of a checked trace of either version; of a redacted one, what is left of it."""
    request, response, meta = document["request"], document["response"], document.get("meta") or {}
    return Record(
        method=request["method"].upper(),
        scheme=str(meta.get("scheme") or "http"),
        host=request["url"]["host"],
        path=unquote(request["url"]["path"].partition("?")[0]),
        query=_pairs(request["url"].get("parameters")),
        request=_message(request),
        response=_message(response),
        status=response["status"],
        source=(str(meta.get("source") or ""), _port(meta.get("sourcePort"))),
        destination=(str(meta.get("destination") or ""), _port(meta.get("destinationPort"))),
        route=request["url"].get("endpointPath"),
        user=request.get("user"),
    )


class StoredRequest:
    """The request of a trace, as rules ask for it."""

    def __init__(self, record: Record) -> None:
        self.method = record.method
        self.scheme = record.scheme
        self.path = record.path
        self.query = urlencode(record.query)
        self.host = record.host
        self.peer: Address = record.source
        self.address = record.source[0]
        self.server: Address = record.destination
        self.protocol = record.protocol
        self._headers = list(record.request.headers)
        self._pairs = list(record.query)

    def outline(self) -> Outline:
        """What requests are counted by."""
        kinds = [value for name, value in self._headers if name.lower() == "content-type"]
        return self.host, self.method, kinds[0] if kinds else None, None, bool(self.header("content-encoding"))

    def text(self, known: Known) -> tuple[bytes, bytes]:
        """Path and query, and the values of headers."""
        values = "\x1f".join([value for _, value in self._headers if value not in known[0]])
        return f"{self.path}\n{self.query}".encode("utf-8", "replace"), values.encode("utf-8", "replace")

    def plain_path(self) -> str | None:
        """None: its spellings are always looked at."""
        return None

    def paths(self) -> Paths:
        """The spellings of the path; where the app is mounted is not stored."""
        return readings(self.path)

    def sent_paths(self) -> tuple[str, ...]:
        """The path, percent-encoded anew."""
        return as_sent("", self.path)

    def queries(self) -> tuple[QueryPairs, ...]:
        """The names and values as the agent read them."""
        return (self._pairs,)

    def headers(self) -> list[tuple[str, str]]:
        """All headers."""
        return self._headers

    def header(self, name: str) -> list[str]:
        """All values of one header, its name given in lower case."""
        return [value for key, value in self._headers if key.lower().replace("_", "-") == name]

    def chosen(self, names: HeaderNames) -> list[tuple[str, str]]:
        """The values of several headers."""
        return [(name, value) for _, name in names.environ for value in self.header(name)]

    @property
    def held(self) -> int:
        """Nothing waits with it."""
        return 0


def exchange_of(record: Record) -> Exchange:
    """The exchange that a record was made of, as far as it tells."""
    exchange = Exchange(StoredRequest(record), _MAX_BODY)
    exchange.request_body.add(record.request.body)
    exchange.status = record.status
    exchange.user = record.user
    return exchange


def _message(message: Mapping[str, Any]) -> Message:
    body = (message.get("body") or "").encode("utf-8", "replace")
    return Message(_pairs(message.get("headers")), body, len(body))


def _pairs(pairs: Any) -> Pairs:
    return tuple((pair["name"], pair["value"]) for pair in pairs or ())


def _port(value: Any) -> int | None:
    try:
        port = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return port if 0 <= port <= 65535 else None
