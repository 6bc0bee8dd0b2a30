"""The agent: the one place where the parts meet. Built once for an app, handed to its way in."""

from __future__ import annotations

import inspect
import logging
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any

from metlo_otel.core import tracing
from metlo_otel.core.counters import Stats
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.request import Request
from metlo_otel.core.settings import Settings, read_settings
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

    def open(self, request: Request) -> Exchange | None:
        """A new exchange for `request`; a URL of EXCLUDED_URLS is not captured."""
        if self._excluded and self._is_excluded(request):
            return None
        return Exchange(request, self.settings.max_body, self._pipeline.put)

    def join(self, exchange: Exchange) -> None:
        """Take the ids of the app's server span."""
        tracing.join(exchange, self._mark)

    def streaming(self, exchange: Exchange) -> None:
        """From now on the exchange is closed after STREAM_LIMIT at the latest."""
        if not exchange.streamed:
            exchange.streamed = True
            self._streams.append((time.monotonic() + STREAM_LIMIT, weakref.ref(exchange)))
            self._pipeline.start()  # its ticks end the stream; nothing may have been put yet

    def ask_user(self, exchange: Exchange, request: Any) -> Awaitable[None] | None:
        """Ask GET_USER who made `request`, the framework's own; something to await when it is an async function."""
        answer = self._ask(exchange, request)
        if inspect.isawaitable(answer):
            return self._await_user(exchange, answer)
        _note_user(exchange, answer)
        return None

    def ask_user_sync(self, exchange: Exchange, request: Any) -> None:
        """As ask_user(), where nothing can be awaited: an async GET_USER is said to be wrong there."""
        answer = self._ask(exchange, request)
        if inspect.isawaitable(answer):
            self._log.say(logging.ERROR, "get_user", "GET_USER is async, but this app is not; no user is recorded")
            if inspect.iscoroutine(answer):
                answer.close()  # one that nobody awaits would have Python warn about it
        else:
            _note_user(exchange, answer)

    def _ask(self, exchange: Exchange, request: Any) -> Any:
        get_user = self.settings.get_user
        return None if get_user is None or exchange.user is not None else self.guard.run(get_user, request)

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
