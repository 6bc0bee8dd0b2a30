"""The rules in force, compiled: what becomes of an exchange."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from metlo_otel.blocking.index import Index
from metlo_otel.blocking.rate_limits import Limit, Store
from metlo_otel.blocking.rules import BLOCK, RATE_LIMIT, TAG, Rule
from metlo_otel.blocking.users import UserBlocks
from metlo_otel.blocking.view import SPARED, Client
from metlo_otel.core.addresses import Range, in_ranges, network_of
from metlo_otel.core.exchange import PASS, Exchange, Verdict

BLOCKED_USER = "block_user"
_BODY, _STATUS, _USER = "request_body", "status_code", "user"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A rule in its place, with everything that can be known before a request."""

    rule: Rule
    order: int
    ends: float
    monitored: bool
    fields: frozenset[str]
    verdict: Verdict
    limit: Limit | None


class Policy:
    """Rules, allow list and blocked users, indexed once; built anew for each configuration.

    `monitor` makes every rule decide without rejecting; clients in `allowed` are never rejected, nor counted. Clients
    of IPv6 are counted by the network of the first `ipv6_prefix` bits of their address.
    """

    __slots__ = (
        "_allowed",
        "_bodies",
        "_entries",
        "_fields",
        "_index",
        "_late",
        "_monitor",
        "_prefix",
        "_responses",
        "_store",
        "has_rules",
        "looks_at_answers",
        "rules",
        "users",
    )

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        store: Store | None = None,
        *,
        monitor: bool = False,
        allowed: Sequence[Range] = (),
        users: UserBlocks | None = None,
        ipv6_prefix: int = 64,
    ) -> None:
        self.rules = tuple(rules)
        limited = any(rule.kind == RATE_LIMIT for rule in self.rules)
        if limited and store is None:
            raise ValueError("rate limit rules need a store to count in")
        entries = self._entries = [_entry(rule, order, monitor) for order, rule in enumerate(self.rules)]
        self._store = store
        self._monitor = monitor
        self._prefix = ipv6_prefix
        self._allowed = tuple(allowed)
        self.users = users
        self._fields = frozenset().union(*(entry.fields for entry in entries))
        self._index = Index(entries, (_STATUS,))
        self.has_rules = bool(self._index)  # whether any rule may decide before a request
        self._bodies = Index([entry for entry in entries if _BODY in entry.fields], (_STATUS, _BODY))
        self._responses = Index([entry for entry in entries if _STATUS in entry.fields])
        by_user = [entry for entry in entries if entry.limit and _USER in entry.fields]
        self._late = Index([entry for entry in by_user if _STATUS not in entry.fields])
        self.looks_at_answers = bool(self._responses)  # whether any limit counts answers by their status

    def __bool__(self) -> bool:
        """Whether there is anything to decide."""
        return self.has_rules or bool(self.users)

    @property
    def needs_user(self) -> bool:
        """Whether deciding may ask for the user."""
        return "user" in self._fields or bool(self.users)

    @property
    def needs_session(self) -> bool:
        """Whether deciding may ask for the session key."""
        return "unique_session_key" in self._fields

    @property
    def looks_at_bodies(self) -> bool:
        """Whether any rule looks at request bodies."""
        return _BODY in self._fields

    def needs_body(self, exchange: Exchange, client: Client, now: float) -> bool:
        """Whether a rule that could match this request looks at its body, which should then be read ahead."""
        return bool(self._bodies and self._bodies.matching(exchange, client, now))

    def decide(self, exchange: Exchange, client: Client, now: float, bodies: bool = True) -> Verdict:
        """Let pass or reject; `now` in seconds since the epoch. Counts the request where a rate limit matches
        it. Without `bodies` the rules that look at them are left for decide_on_body().
        """
        found = self._index.matching(exchange, client, now) if self.has_rules else []
        if exchange.counted:
            found = _uncounted(found, exchange)
        if not bodies:
            found = [entry for entry in found if _BODY not in entry.fields]
        if self.users:
            refused = self._blocked_user(client, now)
            if refused is not None:
                return _tagged(refused, found)
        if not found:
            return PASS
        return _tagged(self._judge(found, client, now), found)

    def decide_on_body(self, exchange: Exchange, client: Client, now: float, asked: set[Entry]) -> Verdict:
        """As decide(), by the rules alone that look at bodies. `asked` are those that have matched: each does so once,
        so that no limit counts a request twice.
        """
        if not self._bodies:
            return PASS
        matching = self._index.matching(exchange, client, now)
        found = [entry for entry in matching if _BODY in entry.fields and entry not in asked]
        asked.update(found)
        if exchange.counted:
            found = _uncounted(found, exchange)
        return _tagged(self._judge(found, client, now), found) if found else PASS

    def observe(self, exchange: Exchange, client: Client, now: float) -> None:
        """Count an answered request for the limits that ask for its status; call once, when the status is
        known.
        """
        self._count(self._responses, exchange, client, now)

    def observe_late(self, exchange: Exchange, client: Client, now: float) -> None:
        """Count a request whose user was not known when it was decided on, for the limits that ask for the user."""
        self._count(self._late, exchange, client, now)

    def asking(self, field: str) -> list[Rule]:
        """The rules that ask for a field, in a condition or as what they count by."""
        return [entry.rule for entry in self._entries if field in entry.fields]

    def _count(self, index: Index[Entry], exchange: Exchange, client: Client, now: float) -> None:
        if not index or exchange.verdict.blocked or self._store is None:
            return
        found = index.matching(exchange, client, now)
        if exchange.counted:
            found = _uncounted(found, exchange)
        if not found or self._is_allowed(client):
            return
        for entry in found:
            key = self._identity(entry.rule, client)
            if key is not None and entry.limit is not None:
                self._store.hit(entry.limit, key, now)

    def _judge(self, found: list[Entry], client: Client, now: float) -> Verdict:
        """The first block rule, else the first limit that is over; one in monitor mode only where no other
        rejects.
        """
        if all(entry.rule.kind == TAG for entry in found) or self._is_allowed(client):
            return PASS
        verdict = PASS
        for entry in found:
            if entry.rule.kind == BLOCK:
                if not entry.monitored:
                    return entry.verdict
                verdict = verdict if verdict.would_block else entry.verdict
        for entry in found:
            wait = self._wait(entry, client, now) if entry.limit else 0.0
            if wait:
                refused = replace(entry.verdict, retry_after=max(1, math.ceil(wait)))
                if not entry.monitored:
                    return refused
                verdict = verdict if verdict.would_block else refused
        return verdict

    def _wait(self, entry: Entry, client: Client, now: float) -> float:
        key = self._identity(entry.rule, client)
        if key is None or entry.limit is None or self._store is None:
            return 0.0
        if _STATUS in entry.fields:
            return self._store.check(entry.limit, key, now)
        return self._store.hit(entry.limit, key, now)

    def _identity(self, rule: Rule, client: Client) -> str | None:
        """Whose counter a request belongs to, None where the client is not known by what the rule counts by."""
        if rule.identifiers == ("ip",):
            return network_of(client.ip or "", self._prefix) or None
        parts = [getattr(client, identifier) for identifier in rule.identifiers]
        if "ip" in rule.identifiers:
            parts[rule.identifiers.index("ip")] = network_of(client.ip or "", self._prefix)
        return "\x1f".join(parts) if all(parts) else None

    def _blocked_user(self, client: Client, now: float) -> Verdict | None:
        user = client.user if self.users else None
        left = self.users.seconds_left(user, now) if user and self.users else 0.0
        if not left or self._is_allowed(client):
            return None
        name = "user blocked by the application"
        return Verdict(blocked=not self._monitor, rule=BLOCKED_USER, would_block=self._monitor, rule_name=name)

    def _is_allowed(self, client: Client) -> bool:
        allowed = bool(self._allowed) and in_ranges(client.ip or "", self._allowed)
        if allowed:
            client.notes += (SPARED,)
        return allowed


def _entry(rule: Rule, order: int, monitor: bool) -> Entry:
    monitored = monitor or rule.monitor
    fields = {condition.field for group in rule.groups for condition in group.conditions}
    names = {"ip": "ip_address", "user": "user", "session": "unique_session_key"}
    fields.update(names[identifier] for identifier in rule.identifiers)
    verdict = Verdict(
        blocked=not monitored,
        rule=rule.id,
        would_block=monitored,
        rate_limited=rule.kind == RATE_LIMIT,
        rule_name=rule.name,
    )
    ends = math.inf if rule.ends is None else rule.ends / 1000
    limit = Limit.of(rule.id, rule.limit) if rule.limit else None
    return Entry(rule, order, ends, monitored, frozenset(fields), verdict, limit)


def _uncounted(found: list[Entry], exchange: Exchange) -> list[Entry]:
    """Without the limits that an agent further out has counted this request for."""
    return [entry for entry in found if entry.limit is None or entry.rule.id not in exchange.counted]


def _tagged(verdict: Verdict, found: list[Entry]) -> Verdict:
    tags = tuple(dict.fromkeys([entry.rule.tag for entry in found if entry.rule.tag]))
    return replace(verdict, tags=tags) if tags else verdict
