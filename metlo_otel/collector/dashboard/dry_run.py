"""A rule tried on the traces that are stored: what it would have done to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.blocking.rules import RATE_LIMIT, TAG, Rule, parse_rule
from metlo_otel.blocking.view import Client
from metlo_otel.collector import queries
from metlo_otel.collector.raw import exchange_of, record_of
from metlo_otel.collector.rules import wire_form
from metlo_otel.collector.schema import TRACES

MOST = 10_000  # traces that a rule is tried on, the latest ones: about a second's work
_STEP = 500  # traces that are in memory at once
_SHOWN = 15  # traces that are shown of those that it would have hit
_CONTENT = frozenset(("request_header", "request_parameter", "request_body"))


@dataclass(frozen=True, slots=True)
class DryRun:
    """What came out: `hit` of `tried` traces, how many of them the app had answered with 2xx (`passed`), the ids of the
    latest of them, and how many of those tried had no content where the rule asks for it (`blind`).
    """

    hit: int
    passed: int
    tried: int
    shown: Sequence[int]
    blind: int
    kind: str
    whole: bool

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        verb = "tagged" if self.kind == TAG else "blocked"
        latest = "" if self.whole else "the latest "
        passed = f", of these {self.passed:,} with status 2xx" if self.hit else ""
        return f"would have {verb} {self.hit:,} of {latest}{self.tried:,}{passed}"

    @property
    def about(self) -> str:
        """What the outcome does not tell."""
        told = []
        if self.kind == RATE_LIMIT:
            told.append(
                "Only the stored requests were counted, of which there were more: the limit may hit more often."
            )
        if self.blind:
            told.append(f"Of {self.blind:,} the collector has no content, so that conditions on it never held.")
        return " ".join(told)


def try_rule(connection: Connection, item: Any) -> DryRun:
    """Try a rule, which need not be stored, on the latest traces in the order in which they came. Whether it is
    switched on, only watches or has ended does not matter. Raises ValueError for a wrong rule.
    """
    document = wire_form(item)
    action = {**(document["action"] or {}), "blockEndTime": None}
    rule = parse_rule({**document, "action": action, "mode": "block"})
    policy = Policy([rule], LocalStore())
    asks = bool(_CONTENT & {condition.field for group in rule.groups for condition in group.conditions})
    hit, passed, blind, tried = [], 0, 0, 0
    for row, trace in _latest(connection):
        tried += 1
        blind += asks and bool(trace.get("redacted") or trace.get("encryption"))
        if _hits(policy, rule, row, trace):
            hit.append(row.id)
            passed += 200 <= row.status < 300
    return DryRun(len(hit), passed, tried, hit[: -_SHOWN - 1 : -1], blind, rule.kind, tried < MOST)


def _latest(connection: Connection) -> Iterator[tuple[Row[Any], Any]]:
    """The latest traces with their documents, the oldest of them first."""
    ids = list(connection.execute(select(TRACES.c.id).order_by(TRACES.c.id.desc()).limit(MOST)).scalars())
    for end in range(len(ids), 0, -_STEP):
        part = ids[max(end - _STEP, 0) : end]
        between = {"after": str(part[-1] - 1), "before": str(part[0] + 1)}
        yield from reversed(list(queries.read_documents(connection, between, len(part))))


def _hits(policy: Policy, rule: Rule, row: Row[Any], document: Mapping[str, Any]) -> bool:
    exchange = exchange_of(record_of(document))
    exchange.status = row.status
    client = Client(lambda: row.source, lambda: row.user, lambda: row.session)
    moment = row.received / 1000
    verdict = policy.decide(exchange, client, moment)
    if not verdict.blocked:
        policy.observe(exchange, client, moment)
    return bool(verdict.tags) if rule.kind == TAG else verdict.blocked
