"""The agent: the one place where the parts meet. Built once for an app, handed to its way in."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from metlo_otel.core import nesting, tracing
from metlo_otel.core.callbacks import Callbacks
from metlo_otel.core.counters import Stats
from metlo_otel.core.exchange import PASS, Exchange, abandoned, close_abandoned
from metlo_otel.core.guard import Guard
from metlo_otel.core.request import Request
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.export.ending import ending
from metlo_otel.export.enrichment import Answer, Enrichment
from metlo_otel.judge import Judge
from metlo_otel.process import process_for

_AGENTS: weakref.WeakSet[Agent] = weakref.WeakSet()  # all of this process, for block_user()
_LOOK = 0.005  # seconds between two looks at whether the rules are there
_LONGEST_URL = 2048  # characters of a URL in which EXCLUDED_URLS are looked for, in the request's thread


def make_agent(*layers: Mapping[str, Any]) -> Agent | None:
    """The agent for these settings, earlier layers before later ones before the environment; None when DISABLED.

    Raises SettingsError, which lists everything that is wrong, of RULES where nothing else is. Touches neither network
    nor threads.
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


def live_agents() -> list[Agent]:
    """The agents of this process."""
    return list(_AGENTS)


class Agent:
    """Opens an exchange for each request and takes it back when it closes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        process = self._process = process_for(settings)
        process.enter(self)
        log = process.log
        self.guard = Guard(log)
        self._mark = settings.span_attributes != "none"
        self._excluded = settings.excluded_urls
        self._excludes = bool(settings.excluded_urls)
        detects = any(mode != "off" for _, mode in settings.detection)
        self._held = settings.max_inspect if detects and settings.max_inspect > settings.max_body else 0
        self.callbacks = Callbacks(settings, self.guard, log)
        self.ask_user = self.callbacks.ask_user
        self.ask_user_sync = self.callbacks.ask_user_sync
        self.judge = Judge(settings, process.inspection, self.callbacks, self.guard, process.in_force)
        self._enrichment = Enrichment(settings, self.guard) if Enrichment.wanted(settings) else None
        self._pipeline = process.pipeline
        self._left = False
        _AGENTS.add(self)

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide before a request, or may be as soon as the rules are here."""
        return self.judge.decides or self._pipeline.awaits_rules

    @property
    def awaits_rules(self) -> bool:
        """Whether a request should wait for the first configuration before anything is decided (wait_for_rules())."""
        return self._pipeline.awaits_rules

    def start(self) -> None:
        """Start the worker, which fetches the configuration; else the first request does. Waits for nothing.

        For a process that serves and will not fork to do so: in the lifespan, in a server's hook after its fork. Again
        and again does no harm.
        """
        self._pipeline.start()

    def wait_for_rules(self) -> None:
        """Wait until the rules are in force, or cannot be had, at most FIRST_RULES_WAIT seconds from the first call on.

        Only where `awaits_rules` says so: once a process, and never where a configuration was kept.
        """
        self._pipeline.wait_for_rules()

    async def wait_for_rules_async(self) -> None:
        """As wait_for_rules(), while the event loop goes on; one that is not asyncio's waits here."""
        import asyncio  # which imports ssl: not for a WSGI app

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._pipeline.wait_for_rules()
            return
        until = loop.time() + self._pipeline.rules_due()
        while self._pipeline.awaits_rules and loop.time() < until:  # noqa: ASYNC110 - the worker knows of no loop
            await asyncio.sleep(_LOOK)

    def open(self, request: Request, outer: Exchange | None = None) -> Exchange | None:
        """A new exchange for `request`; a URL of EXCLUDED_URLS is not captured, but subject to rules.

        `outer` is the exchange that another agent around the same app has open for the request: one with the same
        settings has it served as if there were none here, and to the same destination it is reported there alone.
        """
        if self._pipeline.idle:  # from the first request on the worker fetches the rules
            self._pipeline.start()
        if abandoned:
            close_abandoned()
        if outer is not None:
            return self._open_within(outer, request)
        captured = not (self._excludes and self._is_excluded(request))
        return self._open(request, captured) if captured or self.decides else None

    def _open(self, request: Request, captured: bool) -> Exchange:
        exchange = Exchange(request, self.settings.max_body, self._closed, captured)
        if self._held:
            exchange.request_body.most = self._held
        exchange.marks = self._mark
        exchange.opener = self
        return exchange

    def _open_within(self, outer: Exchange, request: Request) -> Exchange | None:
        others = nesting.around(outer, self.settings)
        if any(opener.settings == self.settings for _, opener in others):
            return None
        captured = not others and not (self._excludes and self._is_excluded(request))
        if not captured and not self.decides:
            return None
        exchange = self._open(request, captured)
        nesting.nest(exchange, outer, others)
        return exchange

    def rule_ids(self) -> frozenset[str]:
        """The ids of the rules in force."""
        return self.judge.rule_ids()

    def _closed(self, exchange: Exchange) -> None:
        """The end of every exchange: limits that count answers hear of its status, then it waits to be sent."""
        if exchange.anonymous or self.judge.observes:
            self.guard.run(self.judge.observe, exchange)
        if exchange.late is not None:
            self.guard.run(exchange.late.ends, exchange)
        if exchange.live is not None:
            self.guard.run(self.enrich, exchange)
        if exchange.outer is not None:
            self.guard.run(nesting.tell_outer, exchange)
        if self._left:
            self._pipeline.turn_away(exchange)
        else:
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
            self._process.streams.add(exchange)
            self._pipeline.start()  # its ticks end the stream; nothing may have been put yet

    def flush(self, seconds: float = 3.0) -> bool:
        """Send what waits, within `seconds`; whether all of it went out."""
        return self._pipeline.flush(seconds)

    def finish(self) -> bool:
        """At the process's end: send what waits, of all agents of the process, within three seconds at the most.

        It is given up sooner where the collector does not answer, and the log says what is not sent. Whether all was.
        """
        return ending.finish()

    def shutdown(self, seconds: float = 3.0) -> None:
        """Send what waits, within `seconds`, and take nothing more; the last agent of its settings ends the worker."""
        self._left = True
        self._process.leave(self, seconds)

    def stats(self) -> Stats:
        """What was captured, sent, dropped and why."""
        return self._pipeline.stats()

    def _is_excluded(self, request: Request) -> bool:
        url = f"{request.scheme}://{request.host}{request.path}"
        return bool(self._excluded.found(url[:_LONGEST_URL]))
