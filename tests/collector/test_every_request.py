"""A rule for every request is said, never an accident: all ways in refuse one without a condition."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.blocking.every_request import EVERY_PATH, is_for_every_request
from metlo_otel.blocking.friendly import parse_friendly
from metlo_otel.blocking.local_rules import load_rules, rules_from_list
from metlo_otel.blocking.rules import parse_rule, parse_rules
from metlo_otel.collector.dashboard.forms import Form
from metlo_otel.collector.dashboard.rule_form import item_of, read_rule_form
from metlo_otel.collector.rules import wire_form

LIMIT = {"threshold": 5, "interval": "minute_1", "duration": {"minute": 1}}


def wire(groups: list[Any], **fields: Any) -> dict[str, Any]:
    return {"uuid": "1", "ruleType": "block", "conditionGroups": groups, **fields}


UNSAID: list[dict[str, Any]] = [
    {"block": True},
    {"block": True, "mode": "monitor"},
    {"limit": "5 per minute", "by": "everyone"},
    wire([]),
    wire([{"rule": "all", "conditions": []}]),
    wire([{"rule": "one", "conditions": []}, {"rule": "all", "conditions": []}]),
    wire([], ruleType="rate_limit", action={"rateLimit": LIMIT}),
]


def by_setting(item: Any) -> str:
    return "; ".join(map(str, rules_from_list([item])[1]))


def by_file(item: Any) -> str:
    return "; ".join(map(str, load_rules(json.dumps([item]), "rules.json")[1]))


def by_store(item: Any) -> str:
    try:
        wire_form(item)
    except ValueError as problem:
        return str(problem)
    return ""


def by_form(item: Any) -> str:
    return by_store(item_of(read_rule_form(Form([("text", json.dumps(item))]))))


WAYS = [by_setting, by_file, by_store, by_form]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("item", UNSAID, ids=str)
def test_unsaid_is_refused(way: Callable[[Any], str], item: Any) -> None:
    """Every way in refuses what would close the app because nothing was filled in, and tells how to say it."""
    assert "path: '*' means every request" in way(item)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "item",
    [
        {"block": True, "path": "*"},
        {"limit": "5 per minute", "by": "everyone", "path": "*"},
        {"limit": "5 per minute"},
        {"tag": "all"},
        wire([{"rule": "all", "conditions": [{"field": "path", "operator": "contains", "value": ""}]}]),
        wire([], ruleType="rate_limit", identifiers=["ip"], action={"rateLimit": LIMIT}),
        wire([], ruleType="tag", tagName="all"),
    ],
    ids=str,
)
def test_said_is_taken(way: Callable[[Any], str], item: Any) -> None:
    """Who says that every request is meant is understood; limits for each client and tags need not say it."""
    assert way(item) == ""


def test_an_untouched_form() -> None:
    """A form in which nothing was filled in makes no rule."""
    empty = [(name, "") for name in ("field", "key", "value")] + [("operator", "eq")]
    assert "path: '*'" in by_store(item_of(read_rule_form(Form([("kind", "block"), *empty]))))


def test_a_star_in_the_form() -> None:
    """Path is * means in the form what it means in a rules file."""
    fields = [("kind", "block"), ("field", "path"), ("operator", "eq"), ("key", ""), ("value", "*")]
    item = wire_form(item_of(read_rule_form(Form(fields))))
    ((group,), (friendly, _)) = (item["conditionGroups"], parse_friendly({"block": True, "path": "*"}, 0))
    assert friendly is not None
    assert friendly.groups[0].conditions == (EVERY_PATH,)
    assert [each["operator"] + each["value"] for each in group["conditions"]] == ["contains"]


def test_other_backends_are_taken_at_their_word() -> None:
    """The contract of agent-config stays: there a rule without conditions is for every request."""
    assert [rule.id for rule in parse_rules([wire([])], pytest.fail)] == ["1"]


@pytest.mark.parametrize(
    ("conditions", "every"),
    [
        ([("path", "contains", "")], True),
        ([("path", "startswith", "/")], True),
        ([("path", "endswith", "//")], True),
        ([("ip_address", "eq", "0.0.0.0/0")], True),
        ([("path", "eq", "/")], False),
        ([("path", "startswith", "/a")], False),
        ([("path", "startswith", "/"), ("method", "eq", "GET")], False),
        ([("ip_address", "nt_eq", "0.0.0.0/0")], False),
    ],
)
def test_what_is_for_every_request(conditions: list[tuple[str, str, str]], every: bool) -> None:
    """A condition that every request meets leaves nobody out; one more that tells requests apart does."""
    listed = [dict(zip(("field", "operator", "value"), each, strict=True)) for each in conditions]
    assert is_for_every_request(parse_rule(wire([{"rule": "all", "conditions": listed}]))) is every
    some = [*listed, {"field": "path", "operator": "contains", "value": ""}]
    assert is_for_every_request(parse_rule(wire([{"rule": "one", "conditions": some}])))
