"""Broken rules are skipped one by one, with a message that names the rule and the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.blocking.rules import merge_rules, parse_rules
from tests.blocking.exchanges import (
    NOW,
    client,
    condition,
    every,
    exchange,
    parsed,
    wire,
    wire_limit,
    wire_tag,
)
from tests.profiles import examples

GOOD = wire(every(condition("path", "eq", "/closed")), uuid="good")


def broken(**changes: Any) -> dict[str, Any]:
    return {**wire(every(condition("path", "eq", "/x")), uuid="bad"), **changes}


def with_limit(**changes: Any) -> dict[str, Any]:
    item = wire_limit(3, uuid="bad")
    item["action"]["rateLimit"].update(changes)
    return item


CASES: list[tuple[Any, str]] = [
    ("text", "a rule is an object, not str"),
    (None, "a rule is an object, not NoneType"),
    (broken(uuid=None), "uuid is text of 1 to 1000 characters, not nothing"),
    (broken(uuid=["x"]), "uuid is text"),
    (broken(ruleType="blok"), "did you mean 'block'?"),
    (broken(ruleType=None), "ruleType is one of block, rate_limit, tag, not nothing"),
    (broken(ruleType={"a": 1}), "ruleType is one of"),
    (broken(action=7), "action is an object, not int"),
    (broken(action={"actionType": "log"}), "action.actionType is 'block', not 'log'"),
    (broken(action={"blockEndTime": "tomorrow"}), "action.blockEndTime is milliseconds since 1970 or null"),
    (broken(action={"blockEndTime": True}), "action.blockEndTime"),
    (broken(action={"blockEndTime": float("nan")}), "action.blockEndTime"),
    (broken(action={"blockEndTime": 10**400}), "action.blockEndTime"),
    (broken(conditionGroups=None), "conditionGroups is a list (an empty one matches every request)"),
    (broken(conditionGroups={}), "conditionGroups is a list"),
    (broken(conditionGroups=[1]), "conditionGroups[0] is an object, not int"),
    (
        broken(conditionGroups=[{"rule": "any", "conditions": []}]),
        "conditionGroups[0].rule is one of all, one",
    ),
    (broken(conditionGroups=[{"rule": "all"}]), "conditionGroups[0].conditions is a list, not nothing"),
    (broken(conditionGroups=[every(3)]), "conditionGroups[0].conditions[0] is an object, not int"),  # type: ignore[arg-type]  # wrong on purpose
    (broken(conditionGroups=[every(condition("pth", "eq", "/x"))]), "did you mean 'path'?"),
    (
        broken(conditionGroups=[every(condition("path", "equals", "/x"))]),
        "conditions[0].operator is one of eq",
    ),
    (broken(conditionGroups=[every(condition("path", "gt", "/x"))]), "conditions[0].operator is one of eq"),
    (broken(conditionGroups=[every(condition("path", "eq", 7))]), "conditions[0].value is text, not 7"),
    (
        broken(conditionGroups=[every(condition("path", "eq", None))]),
        "conditions[0].value is text, not nothing",
    ),
    (broken(conditionGroups=[every(condition("path", "eq", "x" * 1_000_000))]), "has 1000000 characters"),
    (broken(conditionGroups=[every(condition("request_header", "eq", "x"))]), "conditions[0].key is text"),
    (
        broken(conditionGroups=[every(condition("request_parameter", "eq", "x", ""))]),
        "conditions[0].key is text",
    ),
    (
        broken(conditionGroups=[every(condition("ip_address", "eq", "10.0.0.0/99"))]),
        "a range like 10.0.0.0/8",
    ),
    (broken(conditionGroups=[every(condition("status_code", "eq", 401))]), "only rate limits ask for it"),
    (
        wire_limit(3, every(condition("status_code", "contains", 4)), uuid="bad"),
        "is one of eq, nt_eq, gt, lt",
    ),
    (wire_limit(3, every(condition("status_code", "eq", "4xx")), uuid="bad"), "value is a whole number"),
    (wire_limit(3, every(condition("status_code", "eq", True)), uuid="bad"), "value is a whole number"),
    (
        wire_limit(3, uuid="bad", by=["ip", "cookie"]),
        "identifiers[1] is one of ip, user, session, not 'cookie'",
    ),
    ({**wire_limit(3, uuid="bad"), "identifiers": "ip"}, "identifiers is a list of ip, user, session"),
    ({**wire_limit(3, uuid="bad"), "action": None}, "action.rateLimit is an object"),
    (with_limit(threshold=0), "threshold is a whole number of at least 1, not 0"),
    (with_limit(threshold=-5), "threshold is a whole number of at least 1, not -5"),
    (with_limit(threshold="3"), "threshold is a whole number"),
    (with_limit(threshold=1.5), "threshold is a whole number"),
    (with_limit(threshold=True), "threshold is a whole number"),
    (with_limit(interval="minute_7"), "did you mean"),
    (with_limit(interval=60), "interval is one of second_1"),
    (with_limit(duration=30), "duration is an object with hour, minute and second"),
    (with_limit(duration={"second": -1}), "duration.second is a whole number of at least 0"),
    ({**wire_tag("x"), "uuid": "bad", "tagName": None}, "tagName is text"),
]


@pytest.mark.parametrize(("item", "reason"), CASES, ids=range(len(CASES)))
def test_a_broken_rule_is_skipped_and_named(item: Any, reason: str) -> None:
    """One message for the broken rule, short and exact; the rules around it stay in force."""
    messages: list[str] = []
    rules = parse_rules([GOOD, item, {**GOOD, "uuid": "also"}], messages.append)
    assert [rule.id for rule in rules] == ["good", "also"]
    (message,) = messages
    assert message.startswith("wafConfig[1]")
    assert reason in message
    assert len(message) < 500
    if isinstance(item, dict) and item["uuid"] == "bad":
        assert "(uuid 'bad')" in message


def test_overlapping_uuids() -> None:
    """The first rule with a uuid stays, also when local rules follow the backend's."""
    messages: list[str] = []
    rules = parse_rules([GOOD, {**GOOD, "conditionGroups": []}], messages.append)
    assert rules == parsed(GOOD)
    assert messages == ["wafConfig[1] (uuid 'good'): the rule is skipped: uuid is used by an earlier rule"]
    assert merge_rules(rules, parsed(GOOD, wire(uuid="new")), messages.append) == (
        *rules,
        *parsed(wire(uuid="new")),
    )
    assert messages[1] == "rule 'good': the rule is skipped: an earlier rule has this id"


def test_missing_optional_parts() -> None:
    """Identifiers, keys and end times may be missing; thresholds may be whole floats, statuses text."""
    item = wire_limit(3, every({"field": "status_code", "operator": "eq", "value": "401"}))
    del item["identifiers"], item["tagName"], item["action"]["blockEndTime"], item["action"]["actionType"]
    item["action"]["rateLimit"].update(threshold=3.0, duration={"minute": 2})
    (rule,) = parsed(item)
    assert rule.identifiers == ()
    assert rule.ends is None
    assert rule.limit is not None
    assert (rule.limit.threshold, rule.limit.interval, rule.limit.duration) == (3, 60, 120)
    assert rule.groups[0].conditions[0].value == 401


def test_ten_thousand_rules() -> None:
    """Ten thousand rules, every other one broken: half of them stay in force and decide."""
    messages: list[str] = []
    items: list[Any] = []
    for number in range(5000):
        items += [
            wire(every(condition("path", "eq", f"/p{number}")), uuid=str(number)),
            broken(ruleType=number),
        ]
    policy = Policy(parse_rules(items, messages.append))
    assert len(messages) == 5000
    assert policy.decide(exchange("GET", "/p4999"), client(), NOW).rule == "4999"
    assert not policy.decide(exchange("GET", "/p5000"), client(), NOW).blocked


def test_a_rule_of_ten_thousand_conditions() -> None:
    """A huge group is no deeper than a small one."""
    conditions = [condition("path", "nt_eq", f"/p{number}") for number in range(10_000)]
    policy = Policy(parsed(wire(every(*conditions))))
    assert policy.decide(exchange("GET", "/x"), client(), NOW).blocked
    assert not policy.decide(exchange("GET", "/p9999"), client(), NOW).blocked


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged_rules(draw: st.DrawFn) -> Any:
    """A right rule with one of its parts replaced by anything."""
    rule = json.loads(json.dumps(wire_limit(3, every(condition("path", "eq", "/x"), condition("user", "eq", "b")))))
    place: Any = rule
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(json_values)
            return rule
        place = place[key]


def test_our_collectors_rules_may_only_watch() -> None:
    """The name and mode that our collector adds to a rule are in force; others' rules have neither, and block."""
    warned: list[str] = []
    items = [{**GOOD, "name": "closed", "mode": "monitor"}, broken(mode="watch"), wire(every(), uuid="plain")]
    watching, plain = parse_rules(items, warned.append)
    assert (watching.name, watching.monitor) == ("closed", True)
    assert (plain.name, plain.monitor) == (None, False)
    assert "mode is one of block, monitor" in warned[0]
    verdict = Policy([watching]).decide(exchange(target="/closed"), client(), NOW)
    assert (verdict.blocked, verdict.would_block, verdict.rule_name) == (False, True, "closed")


@settings(max_examples=examples(300), deadline=None)
@given(damaged_rules() | json_values)
def test_any_damage_is_told_or_harmless(item: Any) -> None:
    """Whatever a rule holds, it is skipped with a message or it decides without an exception."""
    messages: list[str] = []
    rules = parse_rules([item], messages.append)
    assert len(rules) + len(messages) == 1
    Policy(rules, LocalStore()).decide(exchange("GET", "/x"), client(user="b"), NOW)
