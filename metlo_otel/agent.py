"""The agent: the one place where the parts meet. Built once for an app, handed to its way in."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core import tracing
from metlo_otel.core.callbacks import Callbacks
from metlo_otel.core.counters import Stats
from metlo_otel.core.exchange import PASS, Exchange, abandoned, close_abandoned
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.request import Request
from metlo_otel.core.settings import Settings, misspelt, read_settings
from metlo_otel.export.encryption import Sealing
from metlo_otel.export.enrichment import Answer, Enrichment
from metlo_otel.export.tracing import Seams
from metlo_otel.exporter import open_pipeline
from metlo_otel.judge import Judge

_AGENTS: weakref.WeakSet[Agent] = weakref.WeakSet()  # all of this process, for block_user()
STREAM_LIMIT = 60.0  # seconds after which a stream that goes on is reported as it stands
_MOST_STREAMS = 10_000
_LONGEST_URL = 2048  # characters of a URL in which EXCLUDED_URLS are looked for, in the request's thread


def make_agent(*layers: Mapping[str, Any]) -> Agent | None:
    """The agent for these settings, earlier layers before later ones before the environment; None when DISABLED.

    Raises SettingsError, which lists everything that is wrong. Touches neither network nor threads.
    """
    settings = read_settings(*layers)
    return None if settings.disabled else Agent(settings)


def block_user(user: str, seconds: float) -> None:
    """Reject every request of `user` in this process for `seconds`: for an app's own logic, a log-in failed too often.

    Users are those of GET_USER. Raises ValueError for what is no user or no time.
    """
    for agent in list(_AGENTS):
        agent.judge.block_user(user, seconds)


def unblock_user(user: str) -> bool:
    """Let `user` pass again; whether they were blocked."""
    unblocked = [agent.judge.unblock_user(user) for agent in list(_AGENTS)]
    return any(unblocked)


class Agent:
    """Opens an exchange for each request and takes it back when it closes."""

    def __init__(self, settings: Settings) -> None:
        _AGENTS.add(self)
        self.settings = settings
        self.logger = make_logger(settings.log_level)
        log = RateLimitedLog(self.logger)
        self.guard = Guard(log)
        self._mark = settings.span_attributes != "none"
        self._excluded = settings.excluded_urls

        def warn(text: str) -> None:
            log.say(logging.WARNING, text, text)

        for text in misspelt(os.environ):
            warn(text)
        self._streams: deque[tuple[float, weakref.ref[Exchange]]] = deque(maxlen=_MOST_STREAMS)
        inspection = Inspection(settings, warn)
        self.callbacks = Callbacks(settings, self.guard, log)
        self.ask_user = self.callbacks.ask_user
        self.ask_user_sync = self.callbacks.ask_user_sync
        self.judge = Judge(settings, inspection, self.callbacks, self.guard, warn)
        self._enrichment = Enrichment(settings, self.guard) if Enrichment.wanted(settings) else None
        seams = Seams(inspection.analyse, inspection.session, Sealing(warn))
        self._pipeline = open_pipeline(settings, log, seams, on_change=self.judge.configure, tick=self._tick)

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide before a request."""
        return self.judge.decides

    def start(self) -> None:
        """Start the worker, which fetches the rules, before the first request; twice does nothing more."""
        self._pipeline.start()

    def open(self, request: Request) -> Exchange | None:
        """A new exchange for `request`; a URL of EXCLUDED_URLS is not captured, but subject to rules."""
        if self._pipeline.idle:  # from the first request on the worker fetches the rules
            self._pipeline.start()
        if abandoned:
            close_abandoned()
        if self._excluded and self._is_excluded(request):
            return Exchange(request, self.settings.max_body, self._closed, captured=False) if self.decides else None
        exchange = Exchange(request, self.settings.max_body, self._closed)
        exchange.marks = self._mark
        return exchange

    def _closed(self, exchange: Exchange) -> None:
        """The end of every exchange: limits that count answers hear of its status, then it waits to be sent."""
        self.judge.observe(exchange)
        if exchange.live is not None:
            self.guard.run(self.enrich, exchange)
        self._pipeline.put(exchange)

    join = staticmethod(tracing.join)

    def enrich(self, exchange: Exchange, answer: Callable[[Any], Answer] | None = None, response: Any = None) -> None:
        """Put on the app's span what was decided and what SPAN_ATTRIBUTES asks for, once, while that span is there.

        Where the span ends before the response does, the exchange does not hold all of that yet: then `answer` tells
        what will be sent, of the framework's own `response`. It is asked only if anything of it is wanted.
        """
        span = exchange.live
        if span is None:
            return
        wanted = exchange.verdict is not PASS or exchange.attacks or self._enrichment is not None
        if wanted and span.is_recording():
            tracing.tell(exchange)
            if self._enrichment is not None:
                told = None if answer is None else partial(answer, response)
                self.guard.run(self._enrichment.put, exchange, span, told)
        exchange.live = None

    def streaming(self, exchange: Exchange) -> None:
        """From now on the exchange is closed after STREAM_LIMIT at the latest."""
        if not exchange.streamed:
            exchange.streamed = True
            self._streams.append((time.monotonic() + STREAM_LIMIT, weakref.ref(exchange)))
            self._pipeline.start()  # its ticks end the stream; nothing may have been put yet

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
        return bool(self._excluded.found(url[:_LONGEST_URL]))

    def _tick(self) -> None:
        """In the worker, every second."""
        self.judge.tick()
        self._end_long_streams()

    def _end_long_streams(self) -> None:
        """Close what has streamed for too long."""
        now = time.monotonic()
        while self._streams and self._streams[0][0] <= now:
            exchange = self._streams.popleft()[1]()
            if exchange is not None:
                exchange.request_body.stop()
                exchange.response_body.stop()
                exchange.close()
