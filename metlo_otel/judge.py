"""What becomes of a request: rules, limits, blocked users, and the attacks that DETECTION keeps out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from metlo_otel.analysis.inspection import Inspection, Threat, session_secret
from metlo_otel.analysis.sessions import Sessions
from metlo_otel.blocking.control import Control
from metlo_otel.blocking.policy import Entry, Policy
from metlo_otel.blocking.undecided import Undecided
from metlo_otel.blocking.view import USER, Client
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.callbacks import Callbacks
from metlo_otel.core.exchange import Exchange, Verdict
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision, Passed
from metlo_otel.core.settings import Settings
from metlo_otel.reading.record import is_all_held, read_exchange

Warn = Callable[[str], None]


class InForce:
    """What decides, for all apps of a process with equal settings; `configure` and `tick` are for the worker."""

    def __init__(self, settings: Settings, warn: Warn) -> None:
        self.warn = warn
        self.control = Control(settings, warn)
        self.sessions = Sessions(AgentConfig())

    def configure(self, config: AgentConfig) -> None:
        """Put the backend's rules, and its ways to tell sessions apart, in force."""
        self.sessions = Sessions(config)
        self.control.configure(config)

    def tick(self) -> None:
        """Look after what changes on this machine: the rules file, users that other workers blocked."""
        self.control.tick()


class Judge:
    """Decides in the request's thread."""

    def __init__(
        self, settings: Settings, inspection: Inspection, callbacks: Callbacks, guard: Guard, in_force: InForce
    ) -> None:
        self._settings = settings
        self._inspection = inspection
        self._callbacks = callbacks
        self._guard = guard
        self._in_force = in_force
        self._control = in_force.control
        self._undecided = Undecided(settings.trusted_proxies, settings.get_user is not None, in_force.warn)
        self._detects = any(mode == "block" for _, mode in settings.detection)
        self._key = session_secret(settings)

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide: a rule, a blocked user, or an attack to keep out."""
        policy = self._control.policy  # asked at each request: as few calls as may be
        return self._detects or policy.has_rules or bool(policy.users)

    def decide(self, exchange: Exchange, request: Any, ahead: Callable[[int], None]) -> Verdict:
        """Let pass or reject; `request` is the framework's own, `ahead` reads that many bytes of the body ahead.

        Where that much could not be read, `ahead` leaves `exchange.late`, with which is decided as the app reads.
        """
        client = self._client(exchange, lambda: self._user(exchange, request))
        now = time.time()
        if self._needs_body(exchange, client, now):
            self._guard.run(ahead, self._inspects(exchange))  # a body that cannot be read opens no door
            if exchange.late is None:
                self._guard.run(_note_rest, exchange)
        return self._decided(exchange, client, now)

    async def decide_async(self, exchange: Exchange, request: Any, ahead: Callable[[int], Awaitable[None]]) -> Verdict:
        """As decide(), where finding the user and reading the body are awaited."""
        if self._control.policy.needs_user:
            waiting = self._callbacks.ask_user(exchange, request)
            if waiting is not None:
                await waiting
        client = self._client(exchange, lambda: exchange.user)
        now = time.time()
        if self._needs_body(exchange, client, now):
            await self._guard.wait(ahead(self._inspects(exchange)))
            if exchange.late is None:
                self._guard.run(_note_rest, exchange)
        return self._decided(exchange, client, now)

    @property
    def observes(self) -> bool:
        """Whether there is a limit that counts answers."""
        return self._control.policy.looks_at_answers

    def observe(self, exchange: Exchange) -> None:
        """The answer is known: count it for the limits that ask for its status. May raise, as decide() may."""
        policy = self._control.policy
        if policy.looks_at_answers:
            policy.observe(exchange, self._client(exchange, lambda: exchange.user), time.time())
        if exchange.anonymous and exchange.user is not None:
            self._observe_late(policy, exchange)

    def block_user(self, user: str, seconds: float) -> None:
        """Reject every request of `user` for `seconds`. Raises ValueError for what is no user or no time."""
        self._control.block_user(str(user), seconds, time.time())

    def unblock_user(self, user: str) -> bool:
        """Let `user` pass again; whether they were blocked."""
        return self._control.unblock_user(str(user))

    def rule_ids(self) -> frozenset[str]:
        """The ids of the rules in force."""
        return frozenset(rule.id for rule in self._control.policy.rules)

    def _observe_late(self, policy: Policy, exchange: Exchange) -> None:
        self._undecided.late(policy)
        policy.observe_late(exchange, self._client(exchange, lambda: exchange.user), time.time())

    def _needs_body(self, exchange: Exchange, client: Client, now: float) -> bool:
        policy = self._control.policy
        return self._detects or (policy.looks_at_bodies and policy.needs_body(exchange, client, now))

    def _inspects(self, exchange: Exchange) -> int:
        """How many bytes of the body are read ahead, and held until they are looked at."""
        most = self._settings.max_inspect
        exchange.request_body.most = max(exchange.request_body.limit, most)
        return most

    def _decided(self, exchange: Exchange, client: Client, now: float) -> Verdict:
        began = time.perf_counter_ns()
        policy, late, known = self._control.policy, exchange.late, exchange.incomplete
        verdict = policy.decide(exchange, client, now, late is None)
        if self._detects and not verdict.blocked:
            verdict = self._detected(exchange, client, verdict)
        if client.notes:
            self._note(policy, exchange, client)
        if late is not None:
            exchange.incomplete = known
        elif exchange.incomplete and self._settings.oversize == "block" and not verdict.blocked:
            verdict = self._oversized(exchange, client, verdict)
        exchange.verdict = verdict
        exchange.deciding = time.perf_counter_ns() - began
        return verdict if late is None or verdict.blocked else self._postponed(exchange, client, late)

    def _note(self, policy: Policy, exchange: Exchange, client: Client) -> None:
        exchange.anonymous = USER in client.notes
        self._guard.run(self._undecided.note, policy, exchange.request, client)

    def _postponed(self, exchange: Exchange, client: Client, late: LateDecision) -> Verdict:
        """The verdict for now; the rest is decided on as the body passes."""
        late.opens(partial(self._guarded, exchange, client, set()))
        if exchange.verdict.blocked:  # GET_USER has read the body: that is early enough
            exchange.late = None
        return exchange.verdict

    def _guarded(self, exchange: Exchange, client: Client, asked: set[Entry], passed: Passed, begun: bool) -> bool:
        return self._guard.run(self._decided_late, exchange, client, asked, passed, begun) is True

    def _decided_late(self, exchange: Exchange, client: Client, asked: set[Entry], passed: Passed, begun: bool) -> bool:
        """Decide on what has passed of the body; whether the app is given no more of it."""
        began, policy, known = time.perf_counter_ns(), self._control.policy, exchange.incomplete
        verdict = exchange.verdict
        if passed != "part":  # a rule may ask for what is not in a value's beginning
            verdict = _joined(verdict, policy.decide_on_body(exchange, client, time.time(), asked))
        if self._detects and not verdict.blocked:
            verdict = self._detected(exchange, client, verdict)
        if client.notes:
            self._note(policy, exchange, client)
        if passed != "whole":
            exchange.incomplete = known
        else:
            self._guard.run(_note_rest, exchange)
            if exchange.incomplete and self._settings.oversize == "block" and not verdict.blocked:
                verdict = self._oversized(exchange, client, verdict)
        return self._told(exchange, verdict, began, begun)

    @staticmethod
    def _told(exchange: Exchange, verdict: Verdict, began: int, begun: bool) -> bool:
        blocked = verdict.blocked
        if blocked and begun:
            verdict = replace(verdict, blocked=False, would_block=True)
        exchange.verdict = verdict
        exchange.deciding += time.perf_counter_ns() - began
        return blocked

    def _detected(self, exchange: Exchange, client: Client, verdict: Verdict) -> Verdict:
        """The verdict on an attack that DETECTION says to block; one in monitor mode lets it pass."""
        blocks = self._settings.mode == "block"
        if (verdict.would_block and not blocks) or self._control.allows(client.ip or ""):
            return verdict
        threat = self._guard.run(self._threat, exchange)
        exchange.note(*("failed",) if threat is None else threat.incomplete)
        if threat is None or threat.finding is None:
            return verdict
        category = threat.finding.category
        exchange.attacks = (category,)
        name = f"{category} in {threat.key}"
        return Verdict(blocks, f"detection:{category}", verdict.tags, would_block=not blocks, rule_name=name)

    def _threat(self, exchange: Exchange) -> Threat:
        return self._inspection.threat(read_exchange(exchange, self._settings, self._guard))

    def _oversized(self, exchange: Exchange, client: Client, verdict: Verdict) -> Verdict:
        """The verdict on a request that could not be inspected in full, where OVERSIZE says to block it."""
        blocks = self._settings.mode == "block"
        if (verdict.would_block and not blocks) or self._control.allows(client.ip or ""):
            return verdict
        name = "not inspected in full: " + ", ".join(exchange.incomplete)
        return Verdict(blocks, "oversize", verdict.tags, would_block=not blocks, rule_name=name)

    def _client(self, exchange: Exchange, user: Callable[[], str | None]) -> Client:
        request = exchange.request
        client = Client(
            lambda: self._settings.trusted_proxies.client(request),
            user,
            lambda: self._in_force.sessions.key_of(request, client.ip or "", self._key),
        )
        return client

    def _user(self, exchange: Exchange, request: Any) -> str | None:
        self._callbacks.ask_user_sync(exchange, request)
        return exchange.user


def _note_rest(exchange: Exchange) -> None:
    if not exchange.incomplete and not is_all_held(exchange):
        exchange.note("body_size")


def _joined(verdict: Verdict, later: Verdict) -> Verdict:
    """The two as one: what rejects, else the first that would."""
    tags = tuple(dict.fromkeys((*verdict.tags, *later.tags)))
    telling = later if later.blocked or not verdict.would_block else verdict
    return replace(telling, tags=tags) if tags != telling.tags else telling
