"""The agent: the one place where the parts meet. Built once for an app, handed to its way in."""

from __future__ import annotations

import inspect
import logging
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.addresses import Proxies
from metlo_otel.blocking.control import Control
from metlo_otel.blocking.view import Client
from metlo_otel.core import tracing
from metlo_otel.core.counters import Stats
from metlo_otel.core.exchange import Exchange, Verdict
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.rejection import Rejection, rejection
from metlo_otel.core.request import Request
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.export.encryption import Sealing
from metlo_otel.export.reading import read_exchange
from metlo_otel.export.tracing import Seams
from metlo_otel.exporter import open_pipeline

_AGENTS: weakref.WeakSet[Agent] = weakref.WeakSet()  # all of this process, for block_user()
STREAM_LIMIT = 60.0  # seconds after which a stream that goes on is reported as it stands
_MOST_STREAMS = 10_000


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
        agent.block_user(user, seconds)


def unblock_user(user: str) -> bool:
    """Let `user` pass again; whether they were blocked."""
    unblocked = [agent.unblock_user(user) for agent in list(_AGENTS)]
    return any(unblocked)


class Agent:
    """Opens an exchange for each request and takes it back when it closes."""

    def __init__(self, settings: Settings) -> None:
        _AGENTS.add(self)
        self.settings = settings
        self.logger = make_logger(settings.log_level)
        log = RateLimitedLog(self.logger)
        self.guard = Guard(log)
        self._log = log
        self._mark = settings.span_attributes != "none"
        self._excluded = settings.excluded_urls

        def warn(text: str) -> None:
            log.say(logging.WARNING, text, text)

        self._control = Control(settings, warn)
        self._addresses = Proxies.parse(map(str, settings.trusted_proxies))
        self._streams: deque[tuple[float, weakref.ref[Exchange]]] = deque(maxlen=_MOST_STREAMS)
        self._inspection = Inspection(settings, warn)
        seams = Seams(self._inspection.analyse, self._inspection.session, Sealing(warn))
        self._detects = any(mode == "block" for _, mode in settings.detection)
        self._pipeline = open_pipeline(settings, log, seams, on_change=self._control.configure, tick=self._tick)

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide: a rule, a blocked user, or an attack to keep out."""
        return self._detects or bool(self._control.policy)

    def open(self, request: Request) -> Exchange | None:
        """A new exchange for `request`; a URL of EXCLUDED_URLS is not captured, but subject to rules."""
        if self._pipeline.idle:  # from the first request on the worker fetches the rules
            self._pipeline.start()
        if self._excluded and self._is_excluded(request):
            return Exchange(request, self.settings.max_body, self._closed, captured=False) if self.decides else None
        return Exchange(request, self.settings.max_body, self._closed)

    def decide(self, exchange: Exchange, request: Any, ahead: Callable[[int], None]) -> Verdict:
        """Let pass or reject; `request` is the framework's own, `ahead` reads that many bytes of the body ahead."""
        client = self._client(exchange, lambda: self._user(exchange, request))
        now = time.time()
        policy = self._control.policy
        if self._detects or (policy.looks_at_bodies and policy.needs_body(exchange, client, now)):
            ahead(self.settings.max_body)
        return self._decided(exchange, policy.decide(exchange, client, now))

    async def decide_async(self, exchange: Exchange, request: Any, ahead: Callable[[int], Awaitable[None]]) -> Verdict:
        """As decide(), where finding the user and reading the body are awaited."""
        policy = self._control.policy
        if policy.needs_user:
            waiting = self.ask_user(exchange, request)
            if waiting is not None:
                await waiting
        client = self._client(exchange, lambda: exchange.user)
        now = time.time()
        if self._detects or (policy.looks_at_bodies and policy.needs_body(exchange, client, now)):
            await ahead(self.settings.max_body)
        return self._decided(exchange, policy.decide(exchange, client, now))

    def _decided(self, exchange: Exchange, verdict: Verdict) -> Verdict:
        if self._detects and not (verdict.blocked or verdict.would_block):
            verdict = self._detected(exchange, verdict)
        exchange.verdict = verdict
        return verdict

    def _detected(self, exchange: Exchange, verdict: Verdict) -> Verdict:
        """The verdict on an attack that DETECTION says to block; one in monitor mode lets it pass."""
        record = read_exchange(exchange, self.settings, self.guard)
        found = next(self._inspection.threats(record), None)
        if found is None or self._control.allows(self._addresses.client(exchange.request)):
            return verdict
        key, finding = found
        blocked = self.settings.mode == "block"
        name = f"{finding.category} in {key}"
        return replace(
            verdict, blocked=blocked, would_block=not blocked, rule=f"detection:{finding.category}", rule_name=name
        )

    def _client(self, exchange: Exchange, user: Callable[[], str | None]) -> Client:
        return Client(lambda: self._addresses.client(exchange.request), user)

    def _user(self, exchange: Exchange, request: Any) -> str | None:
        self.ask_user_sync(exchange, request)
        return exchange.user

    def _closed(self, exchange: Exchange) -> None:
        """The end of every exchange: limits that count answers hear of its status, then it waits to be sent."""
        policy = self._control.policy
        if policy.looks_at_answers:
            self.guard.run(policy.observe, exchange, self._client(exchange, lambda: exchange.user), time.time())
        self._pipeline.put(exchange)

    def rejection(self, exchange: Exchange) -> Rejection:
        """The default answer to a rejected request."""
        return rejection(exchange.verdict, ",".join(exchange.request.header("accept")))

    def custom_rejection(self, request: Any) -> Any:
        """What REJECT_RESPONSE makes of the framework's own `request`; None where there is none, or where it fails."""
        make = self.settings.reject_response
        return None if make is None else self.guard.run(make, request)

    def wrong_rejection(self, answer: Any, wanted: str) -> None:
        """Say that REJECT_RESPONSE gave something that cannot be sent; the default answer is sent instead."""
        kind = type(answer).__name__
        text = f"REJECT_RESPONSE gave {kind}, but {wanted} is expected; the default answer was sent"
        self._log.say(logging.ERROR, f"reject_response:{kind}", text)

    def block_user(self, user: str, seconds: float) -> None:
        """Reject every request of `user` for `seconds`. Raises ValueError for what is no user or no time."""
        self._control.users.block(str(user), seconds, time.time())

    def unblock_user(self, user: str) -> bool:
        """Let `user` pass again; whether they were blocked."""
        return self._control.users.unblock(str(user))

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

    def _tick(self) -> None:
        """In the worker, every second."""
        self._control.reload()
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


def _note_user(exchange: Exchange, answer: Any) -> None:
    if answer is not None and exchange.user is None:
        exchange.user = str(answer)
