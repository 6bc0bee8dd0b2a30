"""A closed exchange, read: decoded once in the worker, then analysed, masked and sent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from metlo_otel.core.exchange import PASS, Verdict
from metlo_otel.core.request import Address

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
"""Those that a trace may name."""

Pairs = tuple[tuple[str, str], ...]


def fresh_id(length: int) -> int:
    """An id of `length` bytes; unlike the SDK's not from `random`, which is the app's to seed: then it would repeat."""
    return int.from_bytes(os.urandom(length), "big") or 1


@dataclass(frozen=True, slots=True)
class Message:
    """Headers (order, case and repetitions as they came) and body of a request or a response.

    `body` holds the first bytes, its content encoding undone; `size` says how many the whole body has, as it came over
    the wire. `cut` says whether there is more than is held where lengths do not tell: after decoding and masking.
    `sent` are the bytes as they came, to be inspected, where there are more than `body` has, or others; None: no.
    `partial` says that more of it passed than is held for that, `read` holds what was read of it already.
    """

    headers: Pairs = ()
    body: bytes = b""
    size: int = 0
    cut: bool | None = None
    sent: bytes | None = field(default=None, repr=False)
    partial: bool = False
    read: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def inspected(self) -> bytes:
        """The bytes that rules and detection look at, as they came."""
        return self.body if self.sent is None else self.sent

    @property
    def truncated(self) -> bool:
        """Whether the body is longer than what is held of it."""
        return self.size > len(self.body) if self.cut is None else self.cut

    def header(self, name: str) -> list[str]:
        """All values of a header, whatever its case."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    @property
    def content_type(self) -> str:
        """The Content-Type header as sent; empty where there is none."""
        for name, value in self.headers:
            if len(name) == 12 and name.lower() == "content-type":
                return value
        return ""

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Record:
    """One request and its response, decoded.

    `path` is percent-decoded, `query` the decoded name/value pairs in their order, `raw_query` the query as sent,
    `route` the framework's template in `{name}` form, `source` who sent it (a trusted proxy's client), `forwarded` the
    peer where that differs, `incomplete` why not all of the request was inspected, `trace_id` and `span_id` as in
    OpenTelemetry (0: none), times in nanoseconds since the epoch, `summed` that aggregates count it, `suspected` that
    it is told of only if an attack is found in it.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: Pairs
    request: Message
    response: Message
    status: int
    source: Address
    destination: Address
    route: str | None = None
    forwarded: str | None = None
    user: str | None = None
    protocol: str = "1.1"
    exchange_id: str | None = None
    trace_id: int = 0
    span_id: int = 0
    parent_id: int = 0
    started: int = 0
    ended: int = 0
    verdict: Verdict = PASS
    incomplete: tuple[str, ...] = ()
    raw_query: str = field(default="", repr=False)
    summed: bool = False
    suspected: bool = False
