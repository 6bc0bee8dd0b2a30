"""The agent: the one place where the parts meet. Built once for an app, handed to its way in."""

from __future__ import annotations

import inspect
import logging
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from metlo_otel.core import tracing
from metlo_otel.core.counters import Stats
from metlo_otel.core.exchange import Exchange, RawHeaders
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.request import Request
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.export.enrichment import Enrichment
from metlo_otel.exporter import open_pipeline

STREAM_LIMIT = 60.0  # seconds after which a stream that goes on is reported as it stands
_MOST_STREAMS = 10_000


def make_agent(*layers: Mapping[str, Any]) -> Agent | None:
    """The agent for these settings, earlier layers before later ones before the environment; None when DISABLED.

    Raises SettingsError, which lists everything that is wrong. Touches neither network nor threads.
    """
    settings = read_settings(*layers)
    return None if settings.disabled else Agent(settings)


class Agent:
    """Opens an exchange for each request and takes it back when it closes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logger = make_logger(settings.log_level)
        log = RateLimitedLog(self.logger)
        self.guard = Guard(log)
        self._log = log
        self._mark = settings.span_attributes != "none"
        self._excluded = settings.excluded_urls
        self._streams: deque[tuple[float, weakref.ref[Exchange]]] = deque(maxlen=_MOST_STREAMS)
        self._pipeline = open_pipeline(settings, log, tick=self._end_long_streams)
        self._enrichment = Enrichment(settings, self.guard) if Enrichment.wanted(settings) else None

    def open(self, request: Request) -> Exchange | None:
        """A new exchange for `request`; a URL of EXCLUDED_URLS is not captured."""
        if self._excluded and self._is_excluded(request):
            return None
        exchange = Exchange(request, self.settings.max_body, self._take)
        exchange.marks = self._mark
        return exchange

    def join(self, exchange: Exchange) -> None:
        """Take the ids of the app's server span."""
        tracing.join(exchange)

    def enrich(
        self, exchange: Exchange, status: int = 0, headers: RawHeaders | None = None, body: Iterable[Any] = ()
    ) -> None:
        """Put on the app's span what was decided and what SPAN_ATTRIBUTES asks for, once, while that span is there.

        For where the span ends before the response does; status, headers and body are those that will be sent, where
        the exchange does not hold them yet.
        """
        span = exchange.live
        if span is None:
            return
        if span.is_recording():
            tracing.tell(exchange)
            if self._enrichment is not None:
                self.guard.run(self._enrichment.put, exchange, span, status, headers, body)
        exchange.live = None

    def _take(self, exchange: Exchange) -> None:
        """The exchange has closed."""
        if exchange.live is not None:
            self.guard.run(self.enrich, exchange)
        self._pipeline.put(exchange)

    def streaming(self, exchange: Exchange) -> None:
        """From now on the exchange is closed after STREAM_LIMIT at the latest."""
        if not exchange.streamed:
            exchange.streamed = True
            self._streams.append((time.monotonic() + STREAM_LIMIT, weakref.ref(exchange)))

    def ask_user(self, exchange: Exchange, request: Any) -> Awaitable[None] | None:
        """Ask GET_USER who made `request`, the framework's own; something to await when it is an async function."""
        get_user = self.settings.get_user
        if get_user is None or exchange.user is not None:
            return None
        answer = self.guard.run(get_user, request)
        if inspect.isawaitable(answer):
            return self._await_user(exchange, answer)
        _note_user(exchange, answer)
        return None

    def ask_user_sync(self, exchange: Exchange, request: Any) -> None:
        """As ask_user(), where nothing can be awaited: an async GET_USER is said to be wrong there."""
        waiting = self.ask_user(exchange, request)
        if waiting is not None:
            waiting.close()  # type: ignore[attr-defined]  # _await_user is a coroutine
            self._log.say(logging.ERROR, "get_user", "GET_USER is async, but this app is not; no user is recorded")

    async def _await_user(self, exchange: Exchange, answer: Awaitable[Any]) -> None:
        _note_user(exchange, await self.guard.wait(answer))

    def flush(self, seconds: float = 3.0) -> bool:
        """Send what waits, within `seconds`; whether all of it went out."""
        return self._pipeline.flush(seconds)

    def shutdown(self, seconds: float = 3.0) -> None:
        """Send what waits, within `seconds`, and end the worker."""
        self._pipeline.shutdown(seconds)

    def stats(self) -> Stats:
        """What was captured, sent, dropped and why."""
        return self._pipeline.stats()

    def _is_excluded(self, request: Request) -> bool:
        url = f"{request.scheme}://{request.host}{request.path}"
        return any(pattern.search(url) for pattern in self._excluded)

    def _end_long_streams(self) -> None:
        """In the worker: close what has streamed for too long."""
        now = time.monotonic()
        while self._streams and self._streams[0][0] <= now:
            exchange = self._streams.popleft()[1]()
            if exchange is not None:
                exchange.request_body.stop()
                exchange.response_body.stop()
                exchange.close()


def _note_user(exchange: Exchange, answer: Any) -> None:
    if answer is not None and exchange.user is None:
        exchange.user = str(answer)
