"""What a policy answers: rules in their order, tags, modes, allow list, blocked users, and what it needs to
know.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.blocking.rules import Rule
from metlo_otel.blocking.users import BlockedUsers
from metlo_otel.blocking.view import Client
from metlo_otel.core.addresses import parse_network
from metlo_otel.core.exchange import PASS, Verdict
from tests.blocking.exchanges import (
    NOW,
    client,
    condition,
    either,
    every,
    exchange,
    parsed,
    refused,
    wire,
    wire_limit,
    wire_tag,
)

GET = every(condition("method", "eq", "GET"))


def unknown() -> str:
    """An answer that must not be asked for."""
    refused("was asked for")
    return ""


def test_nothing_matches() -> None:
    """Without rules, or where none matches, the verdict is the shared PASS and nobody is asked who the client
    is.
    """
    lazy = Client(unknown, unknown, unknown)
    assert Policy().decide(exchange(), lazy, NOW) is PASS
    rules = parsed(wire(every(condition("path", "eq", "/x"))))
    assert Policy(rules).decide(exchange(), lazy, NOW) is PASS


def test_the_first_block_rule_decides_and_tags_are_kept() -> None:
    """The verdict names the first matching block rule; all matching tags go along, each once."""
    rules = parsed(
        wire_tag("get", GET),
        wire(every(condition("method", "eq", "PUT")), uuid="put"),
        wire(GET, uuid="one"),
        wire(GET, uuid="two"),
        wire_tag("all"),
        {**wire_tag("get"), "uuid": "again"},
    )
    assert Policy(rules).decide(exchange(), client(), NOW) == Verdict(True, "one", ("get", "all"))


def test_tags_alone_let_pass() -> None:
    """A tag rule rejects nothing."""
    assert Policy(parsed(wire_tag("t"))).decide(exchange(), client(), NOW) == Verdict(tags=("t",))


def test_monitor_mode_of_the_policy() -> None:
    """In monitor mode the verdict says what would have happened."""
    rules = parsed(wire(GET), wire_limit(1, GET))
    policy = Policy(rules, LocalStore(), monitor=True)
    expected = Verdict(rule="r", would_block=True)
    assert policy.decide(exchange(), client(), NOW) == expected
    assert policy.decide(exchange(), client(), NOW) == expected


def test_monitor_mode_of_a_rule() -> None:
    """A rule in monitor mode is told only where no other rule rejects."""
    first, second = parsed(wire(GET, uuid="watched"), wire(every(condition("path", "eq", "/x")), uuid="real"))
    policy = Policy([replace(first, monitor=True), second])
    assert policy.decide(exchange("GET", "/"), client(), NOW) == Verdict(rule="watched", would_block=True)
    assert policy.decide(exchange("GET", "/x"), client(), NOW) == Verdict(True, "real")


def test_a_monitored_limit_counts() -> None:
    """A limit in monitor mode counts and says that it would have rejected."""
    (rule,) = parsed(wire_limit(1, GET))
    policy = Policy([replace(rule, monitor=True)], LocalStore())
    assert policy.decide(exchange(), client(), NOW) == PASS
    assert policy.decide(exchange(), client(), NOW) == Verdict(
        rule="limit", would_block=True, rate_limited=True, retry_after=30
    )


@pytest.mark.parametrize(("ip", "passes"), [("10.1.2.3", True), ("2001:db8::5", True), ("192.0.2.1", False)])
def test_allowed_addresses_are_never_blocked(ip: str, passes: bool) -> None:
    """ALLOWED_IPS pass block rules and limits, and are tagged all the same."""
    allowed = [parse_network("10.0.0.0/8"), parse_network("2001:db8::/32")]
    policy = Policy(parsed(wire(GET), wire_tag("t")), allowed=allowed)
    assert policy.decide(exchange(), client(ip), NOW) == (
        Verdict(tags=("t",)) if passes else Verdict(True, "r", ("t",))
    )
    limited = Policy(parsed(wire_limit(1, GET)), LocalStore(), allowed=allowed)
    answers = [limited.decide(exchange(), client(ip), NOW).blocked for _ in range(3)]
    assert answers == [False, not passes, not passes]


def test_the_rules_name_is_told() -> None:
    """The verdict carries the name that people gave the rule."""
    (rule,) = parsed(wire(GET))
    assert Policy([replace(rule, name="Closed")]).decide(exchange(), client(), NOW).rule_name == "Closed"


def test_blocked_users() -> None:
    """A user blocked by the application is rejected until the time is over or the user is unblocked."""
    users = BlockedUsers()
    policy = Policy(parsed(wire_tag("t")), users=users)
    assert not policy.needs_user
    users.block("bob", 60, NOW)
    assert policy.needs_user
    verdict = policy.decide(exchange(), client(user="bob"), NOW + 59)
    assert (verdict.blocked, verdict.rule, verdict.tags) == (True, "block_user", ("t",))
    assert not policy.decide(exchange(), client(user="alice"), NOW).blocked
    assert not policy.decide(exchange(), client(user=None), NOW).blocked
    assert not policy.decide(exchange(), client(user="bob"), NOW + 60).blocked
    users.block("bob", 60, NOW)
    assert users.unblock("bob")
    assert not users.unblock("bob")
    assert not policy.decide(exchange(), client(user="bob"), NOW).blocked
    assert not policy.needs_user


def test_blocked_users_in_monitor_mode_and_allowed() -> None:
    """Monitor mode and the allow list hold for users blocked by the application too."""
    users = BlockedUsers()
    users.block("bob", 60, NOW)
    watched = Policy(users=users, monitor=True).decide(exchange(), client(user="bob"), NOW)
    assert (watched.blocked, watched.would_block) == (False, True)
    allowing = Policy(users=users, allowed=[parse_network("192.0.2.1")])
    assert not allowing.decide(exchange(), client("192.0.2.1", "bob"), NOW).blocked


def test_blocked_users_are_bounded() -> None:
    """A full set lets go of who is free again, then of who is free first."""
    users = BlockedUsers(most=3)
    users.block("over", 1, NOW - 10)
    for user, seconds in (("a", 30), ("b", 10), ("c", 20), ("d", 40)):
        users.block(user, seconds, NOW)
    assert len(users) == 3
    assert [user for user in "abcd" if users.seconds_left(user, NOW)] == ["a", "c", "d"]


@pytest.mark.parametrize(("user", "seconds"), [("", 60), ("bob", 0), ("bob", -1), ("bob", float("nan"))])
def test_block_user_refuses_nonsense(user: str, seconds: float) -> None:
    """What is no user or no time is an error that says so."""
    with pytest.raises(ValueError, match="block_user takes a user id and seconds above 0"):
        BlockedUsers().block(user, seconds, NOW)


def test_what_a_policy_needs() -> None:
    """User and session are needed where a condition or an identifier asks for them."""
    assert not Policy(parsed(wire(GET))).needs_user
    assert Policy(parsed(wire(every(condition("user", "eq", "b"))))).needs_user
    assert Policy(parsed(wire_limit(1, by=["user"])), LocalStore()).needs_user
    assert not Policy(parsed(wire_limit(1, by=["user"])), LocalStore()).needs_session
    assert Policy(parsed(wire_limit(1, by=["session"])), LocalStore()).needs_session
    assert Policy(parsed(wire(every(condition("unique_session_key", "eq", "b"))))).needs_session


def test_needs_body_asks_only_where_the_rest_of_a_rule_matches() -> None:
    """A body is read ahead only for requests that a rule with a body condition could match, until the rule
    ends.
    """
    post, evil = condition("method", "eq", "POST"), condition("request_body", "contains", "evil")
    policy = Policy(parsed(wire(every(post, evil), ends=NOW * 1000 + 1)))
    assert policy.looks_at_bodies
    assert policy.needs_body(exchange("POST"), client(), NOW)
    assert not policy.needs_body(exchange("GET"), client(), NOW)
    assert not policy.needs_body(exchange("POST"), client(), NOW + 1)
    assert Policy(parsed(wire(either(post, evil)))).needs_body(exchange("GET"), client(), NOW)
    without = Policy(parsed(wire(every(post))))
    assert not without.looks_at_bodies
    assert not without.needs_body(exchange("POST"), client(), NOW)


def test_limits_need_a_store() -> None:
    """Rate limit rules without a store are refused when the policy is built, not in a request."""
    with pytest.raises(ValueError, match="need a store"):
        Policy(parsed(wire_limit(1)))


def test_a_policy_asks_for_each_fact_once() -> None:
    """However many rules look at the client, each fact is asked for once a request."""
    asked: list[str] = []

    def fact(name: str) -> str:
        asked.append(name)
        return name

    who = Client(lambda: fact("192.0.2.1"), lambda: fact("user"), lambda: fact("session"))
    fields = ("ip_address", "user", "unique_session_key")
    rules = [
        wire(every(condition(field, "eq", f"10.0.0.{n}")), uuid=f"{field}{n}") for field in fields for n in range(9)
    ]
    assert not Policy(parsed(*rules)).decide(exchange(), who, NOW).blocked
    assert sorted(asked) == ["192.0.2.1", "session", "user"]


def watched(kind: str, uuid: str, monitor: bool) -> Rule:
    """A rule that matches every request: a block, or a limit that is over at once."""
    (rule,) = parsed(wire(GET, uuid=uuid) if kind == "block" else wire_limit(1, GET, uuid=uuid))
    return replace(rule, monitor=monitor)


@pytest.mark.parametrize("enforcing", ["block", "limit"])
@pytest.mark.parametrize("watching", ["block", "limit"])
@pytest.mark.parametrize("first", [True, False])
def test_a_rule_that_only_watches_hides_none_that_rejects(enforcing: str, watching: str, first: bool) -> None:
    """Whatever the order and the kinds: a rule in monitor mode decides only where no other rejects."""
    rules = [watched(watching, "watches", True), watched(enforcing, "rejects", False)]
    policy = Policy(rules if first else rules[::-1], LocalStore())
    policy.decide(exchange(), client(), NOW)  # the limits are full
    verdict = policy.decide(exchange(), client(), NOW)
    assert (verdict.blocked, verdict.would_block, verdict.rule) == (True, False, "rejects")


def test_of_rules_that_only_watch_the_first_block_decides() -> None:
    """Where none rejects, the verdict names the first block rule that would, else the first limit."""
    limits = [watched("limit", "limit-1", True), watched("limit", "limit-2", True)]
    for rules, told in (
        ([*limits, watched("block", "block-1", True), watched("block", "block-2", True)], "block-1"),
        (limits, "limit-1"),
    ):
        policy = Policy(rules, LocalStore())
        policy.decide(exchange(), client(), NOW)
        verdict = policy.decide(exchange(), client(), NOW)
        assert (verdict.blocked, verdict.would_block, verdict.rule) == (False, True, told)


def test_answers_to_allowed_addresses_count_for_nobody() -> None:
    """A limit that all clients share is not filled by who is never rejected."""
    rules = parsed(wire_limit(1, every(condition("status_code", "eq", 404))))
    policy = Policy(rules, LocalStore(), allowed=[parse_network("10.0.0.0/8")])
    for _ in range(3):
        policy.observe(exchange(status=404), client("10.1.2.3"), NOW)
    assert not policy.decide(exchange(), client("192.0.2.1"), NOW).blocked
    policy.observe(exchange(status=404), client("192.0.2.1"), NOW)
    assert policy.decide(exchange(), client("192.0.2.1"), NOW).blocked
