"""One request and its response, as raw references: the value that runs through the package."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import Span, SpanContext

from metlo_otel.core.request import Request

if TYPE_CHECKING:
    from metlo_otel.core.guard import Guard
    from metlo_otel.core.late import LateDecision
    from metlo_otel.core.settings import Settings

RawHeaders = Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
Route = str | Callable[[], str | None] | None

CLIENT_CLOSED_REQUEST = 499  # the status that nginx logs for a client that went away before there was an answer

_MANY_CHUNKS = 64
_BYTES = (bytes, bytearray, memoryview)
# Exchanges that were dropped without a close(). Garbage is collected anywhere, also while its thread holds a lock that
# closing takes, so they are only noted there.
abandoned: deque[Exchange] = deque()
_OVERHEAD = 2048  # bytes: an exchange with its buffers and dicts, before any content (measured with tracemalloc)
_READ, _SHORT = 8, 8192  # bytes of fields for each of a short body that was read for a decision


class Body:
    """The first `limit` bytes of a body that passed, and the count of all of them.

    Up to `most` bytes are held, where rules or detection look at more than what is captured to be sent.
    `again` are the bytes that will pass a second time, because they were read ahead of the app.
    """

    __slots__ = ("_first", "_more", "again", "limit", "most", "size")

    def __init__(self, limit: int) -> None:
        self.limit = self.most = limit
        self.size = 0
        self.again = 0
        self._first = b""  # most bodies are one chunk: a list for it would be kept with every exchange
        self._more: list[bytes] | tuple[()] = ()

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Note a chunk that passed; what lies beyond the limit is only counted, what is not bytes ignored."""
        if type(data) is not bytes and not isinstance(data, _BYTES):
            return
        length = len(data)
        room = self.most - self.size
        self.size += length
        if length > room:
            data = data[: max(room, 0)]
        if type(data) is not bytes:
            data = bytes(data)
        if not self._first:
            self._first = data
        elif data:
            self._add_more(data)

    def _add_more(self, data: bytes) -> None:
        if not self._more:
            self._more = []
        self._more.append(data)
        if len(self._more) > _MANY_CHUNKS:
            self._more = [b"".join(self._more)]

    def add_anew(self, data: bytes | bytearray | memoryview | None) -> None:
        """Note a chunk that passed, but for what of it passed before."""
        if data is None:  # a stream that does not wait has nothing yet
            return
        if self.again:
            skipped = min(self.again, len(data))
            self.again -= skipped
            data = memoryview(data)[skipped:]
        self.add(data)

    def stop(self) -> None:
        """Keep no more; go on counting. For a reader in another thread."""
        self.limit = min(self.limit, self.size)
        self.most = min(self.most, self.size)

    @property
    def kept(self) -> int:
        """How many bytes are held."""
        return min(self.size, self.most)

    @property
    def truncated(self) -> bool:
        """Whether more passed than is held."""
        return self.size > self.limit

    def content(self) -> bytes:
        """The bytes that are held, in one piece."""
        return b"".join((self._first, *self._more)) if self._more else self._first


@dataclass(frozen=True, slots=True)
class Verdict:
    """Let pass, or reject and why.

    `rule` is the id of the rule that decided and `rule_name` what people call it, `tags` those to put on the trace.
    `would_block` says that a rule in monitor mode decided, so the request passes. `rate_limited` tells a limit (429)
    from a block (403), with `retry_after` in whole seconds, 0 where there is nothing to wait for.
    """

    blocked: bool = False
    rule: str | None = None
    tags: tuple[str, ...] = ()
    would_block: bool = False
    rate_limited: bool = False
    retry_after: int = 0
    rule_name: str | None = None


PASS = Verdict()


class Opener(Protocol):
    """The agent, as exchanges know it."""

    settings: Settings
    guard: Guard

    def rule_ids(self) -> frozenset[str]:
        """The ids of the rules in force."""


class Exchange:
    """What is known of one request and its response; filled by a way in, read by the worker.

    `on_close` is called once, at the first close(), or by close_abandoned() where the exchange was dropped without one:
    a request whose response the server never closed is reported all the same.

    `response_headers` are kept as the framework gives them (text or bytes), `route` may be a function that the
    worker calls, `span` is the app's server span where there is one and `parent` the caller's. `live` is that span
    itself while it may still take attributes, `marks` whether it may be marked, `attacks` the types of attack that were
    found before the app ran, `anonymous` that the rules asked for the user in vain, `deciding` the nanoseconds that the
    verdict took, 0 where nothing was decided, `size` the bytes that the queue reckons it at. `incomplete` has the
    reasons why not all of the request was looked at, `late` is there where that waits for the app to read the body,
    `reading` is what the reading room has read so far. `summed` says that aggregates count it, `suspected` that nothing
    but a sign of an attack has it told of.
    `opener` has opened it. Where several agents are around one app, `outer` is the exchange that the next one outside
    has open for the same request, and `counted` are the ids of the rules that were asked about it already.
    """

    __slots__ = (
        "__weakref__",
        "anonymous",
        "attacks",
        "captured",
        "counted",
        "deciding",
        "ended",
        "id",
        "incomplete",
        "late",
        "live",
        "marks",
        "on_close",
        "opener",
        "outer",
        "parent",
        "reading",
        "request",
        "request_body",
        "response_body",
        "response_headers",
        "route",
        "size",
        "span",
        "started",
        "status",
        "streamed",
        "summed",
        "suspected",
        "user",
        "verdict",
    )

    def __init__(
        self,
        request: Request,
        max_body: int,
        on_close: Callable[[Exchange], None] | None = None,
        captured: bool = True,
    ) -> None:
        self.on_close = on_close
        self.request = request
        self.captured = captured
        self.started = time_ns()
        self.ended = 0
        self.id: str | None = None
        self.request_body = Body(max_body)
        self.response_body = Body(max_body)
        self.response_headers: RawHeaders = ()
        self.status = 0
        self.streamed = False
        self.route: Route = None
        self.user: str | None = None
        self.span: SpanContext | None = None
        self.parent: SpanContext | None = None
        self.live: Span | None = None
        self.marks = True
        self.verdict = PASS
        self.attacks: tuple[str, ...] = ()
        self.anonymous = False
        self.deciding = 0
        self.size = 0
        self.incomplete: tuple[str, ...] = ()
        self.opener: Opener | None = None
        self.outer: Exchange | None = None
        self.counted: frozenset[str] = frozenset()
        self.reading: Any = None
        self.late: LateDecision | None = None
        self.summed = self.suspected = False

    def note(self, *reasons: str) -> None:
        """Remember why not all of the request was inspected; each reason once."""
        self.incomplete = tuple(dict.fromkeys((*self.incomplete, *reasons)))

    def close(self) -> None:
        """The response has ended, or what can be known of it is known. Further calls do nothing."""
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            self.ended = self.ended or time_ns()
            try:
                on_close(self)
            except Exception as problem:  # closed in the middle of the app's own work, from many places
                if self.opener is None:
                    raise
                self.opener.guard.failed(on_close, problem)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # copied or pickled with the request that carries it, it is nothing

    def __del__(self) -> None:
        if getattr(self, "on_close", None) is not None:  # not set in one that could not be made
            self.ended = time_ns()
            abandoned.append(self)

    def memory(self) -> int:
        """About how many bytes this exchange holds while it waits."""
        asked, answered = self.request_body, self.response_body
        kept = asked.size + answered.size
        if kept > answered.most:  # one of them may be over its own
            kept = asked.kept + answered.kept
        read = 0 if self.reading is None else _READ * min(asked.kept, _SHORT)
        return _OVERHEAD + self.request.held + kept + read


def close_abandoned() -> None:
    """Close what was dropped without a close(); to be called where no lock is held."""
    while abandoned:
        try:
            exchange = abandoned.popleft()
        except IndexError:  # another thread was quicker
            return
        exchange.close()
