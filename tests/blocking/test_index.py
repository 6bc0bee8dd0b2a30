"""The indexed policy decides as a naive evaluator does, over random rules and requests."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.vocabulary import operators_of
from metlo_otel.core.exchange import Exchange
from tests.blocking import reference
from tests.blocking.exchanges import KINDS, NOW, client, condition, exchange, parsed
from tests.profiles import examples

TEXTS = st.text(alphabet="ab/", max_size=4)
PATHS = TEXTS.map(lambda text: "/" + text)
KEYS = st.sampled_from(["A", "b"])
IPS = st.sampled_from(["10.0.0.1", "10.0.0.9", "10.1.0.1", "2001:db8::1", "2001:db8::2"])
RANGES = st.sampled_from(["10.0.0.0/8", "10.0.0.0/29", "2001:db8::/127", "2001:db8::/64", "0.0.0.0/0"])
METHODS = st.sampled_from(["GET", "PUT"])

VALUES = {
    "path": PATHS | TEXTS,
    "method": METHODS,
    "request_header": TEXTS,
    "request_parameter": TEXTS,
    "request_body": TEXTS,
    "user": TEXTS,
    "unique_session_key": TEXTS,
}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from([*VALUES, "ip_address"]))
    operator = draw(st.sampled_from(list(operators_of("path"))))
    if field == "ip_address":
        equal = operator.endswith("_eq") or operator == "eq"
        return condition(field, operator, draw(IPS | RANGES) if equal else draw(st.sampled_from(["10.", "2001", "1"])))
    return condition(field, operator, draw(VALUES[field]), draw(KEYS))


GROUPS = st.lists(
    st.fixed_dictionaries({"rule": st.sampled_from(["all", "one"]), "conditions": st.lists(conditions(), max_size=3)}),
    max_size=2,
)
ACTIONS = st.fixed_dictionaries({"blockEndTime": st.none() | st.sampled_from([NOW * 1000 - 1, NOW * 1000 + 1])})
RULES = st.lists(
    st.fixed_dictionaries(
        {"ruleType": st.sampled_from(["block", "tag"]), "conditionGroups": GROUPS, "action": ACTIONS}
    ),
    max_size=14,
)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    pairs = draw(st.lists(st.tuples(KEYS, st.text(alphabet="ab", max_size=3)), max_size=3))
    headers = draw(st.lists(st.tuples(KEYS, st.text(alphabet="ab", max_size=3)), max_size=2))
    target = draw(PATHS) + "?" + "&".join(f"{name}={value}" for name, value in pairs)
    body = draw(st.text(alphabet="ab", max_size=3)).encode()
    return exchange(draw(METHODS), target, headers, body, kind=draw(st.sampled_from(KINDS)))


@settings(max_examples=examples(400), deadline=None)
@given(RULES, exchanges(), st.none() | IPS, st.none() | TEXTS, st.none() | TEXTS)
def test_as_the_naive_evaluator(
    items: list[dict[str, Any]], made: Exchange, ip: str | None, user: str | None, session: str | None
) -> None:
    """The first block rule that matches decides, all matching tags are put, bodies are asked for when they
    count.
    """
    rules = parsed(*({**item, "uuid": f"{n}", "tagName": f"t{n % 3}"} for n, item in enumerate(items)))
    who = client(ip, user, session)
    verdict = Policy(rules).decide(made, who, NOW)
    expected = reference.matching(rules, made, who, NOW)
    blocking = [rule.id for rule in expected if rule.kind == "block"]
    assert verdict.rule == (blocking[0] if blocking else None)
    assert verdict.blocked is bool(blocking)
    assert verdict.tags == tuple(dict.fromkeys(rule.tag for rule in expected if rule.kind == "tag"))


@settings(max_examples=examples(400), deadline=None)
@given(RULES, exchanges(), TEXTS)
def test_a_body_is_asked_for_whenever_it_could_decide(items: list[dict[str, Any]], made: Exchange, user: str) -> None:
    """Where the answer differs with and without the body, needs_body said so before the body was read."""
    rules = parsed(*({**item, "uuid": f"{n}", "tagName": f"t{n % 3}"} for n, item in enumerate(items)))
    policy = Policy(rules)
    unread = Exchange(made.request, 10_000)
    if policy.decide(unread, client(user=user), NOW) != policy.decide(made, client(user=user), NOW):
        assert policy.needs_body(unread, client(user=user), NOW)
    if not policy.looks_at_bodies:
        assert not policy.needs_body(unread, client(user=user), NOW)
