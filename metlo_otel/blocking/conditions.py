"""Rules compiled to functions that say whether they match a view of an exchange."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from metlo_otel.blocking.rules import ALL, Condition, Group, Rule
from metlo_otel.blocking.view import View, listed
from metlo_otel.blocking.vocabulary import FIELDS, OPERATORS, Test, text_test
from metlo_otel.core.addresses import normalise, parse_network
from metlo_otel.core.paths import upper_hex

Matcher = Callable[[View], bool]
Read = Callable[[View], Iterable[str]]


def compile_rule(rule: Rule, assumed: Collection[str] = ()) -> Matcher:
    """Whether a rule's groups match; conditions on the `assumed` fields count as met, for what is not known
    yet.
    """
    matchers: list[Matcher] = []
    for group in rule.groups:
        matchers += _compile_group(group, assumed)
    return _all(tuple(matchers))


def read_values(field: str) -> Read:
    """How to read the values of a field without a key from a view; an empty list where there are none."""
    readers: dict[str, Read] = {
        "method": lambda view: [view.method()],
        "request_body": View.body,
        "ip_address": lambda view: [view.client.ip] if view.client.ip else [],
        "user": lambda view: [view.client.user] if view.client.user else [],
        "unique_session_key": lambda view: [view.client.session] if view.client.session else [],
    }
    return readers[field]


def is_range(condition: Condition) -> bool:
    """Whether a condition compares the address with a range like 10.0.0.0/8."""
    equal = condition.operator in ("eq", "nt_eq")
    return condition.field == "ip_address" and equal and "/" in str(condition.value)


def _compile_group(group: Group, assumed: Collection[str]) -> list[Matcher]:
    """The functions that must all hold for the group to match."""
    if group.rule == ALL:
        return [_compile(condition) for condition in group.conditions if condition.field not in assumed]
    if any(condition.field in assumed for condition in group.conditions):
        return []
    return [_one(tuple([_compile(condition) for condition in group.conditions]))]


def _compile(condition: Condition) -> Matcher:
    negated = OPERATORS[condition.operator].negates
    if FIELDS[condition.field].answered:
        return _status(condition.operator, int(condition.value))
    if is_range(condition):
        return _in_range(condition)
    value = str(condition.value)
    if condition.field == "path":
        return _path(condition.operator, value)
    if condition.field == "request_header":
        return _header(condition.operator, value, header_name(condition))
    if condition.field == "request_parameter":
        return _parameter(condition.operator, value, condition.key or "")
    if condition.field == "ip_address" and condition.operator in ("eq", "nt_eq"):
        value = normalise(value)
    if condition.field == "request_body" and negated:
        return _no_value(View.body, text_test(negated, value))
    if condition.field == "method":
        value = value.upper()
    return _any_value(read_values(condition.field), text_test(condition.operator, value))


def header_name(condition: Condition) -> str:
    """The header that a condition asks for, as all its spellings are looked up: servers and apps take `_` for `-`."""
    return (condition.key or "").lower().replace("_", "-")


def _no_value(read: Read, test: Test) -> Matcher:
    """Whether there is something, and in none of its readings what the test looks for."""

    def matches(view: View) -> bool:
        there = False
        for text in read(view):
            if test(text):
                return False
            there = True
        return there

    return matches


def _any_value(read: Read, test: Test) -> Matcher:
    def matches(view: View) -> bool:
        for text in read(view):  # noqa: SIM110  # a generator costs more than the test itself
            if test(text):
                return True
        return False

    return matches


def _header(operator: str, value: str, name: str) -> Matcher:
    """Any of the values may match, repeated ones too; servers join those with commas into one.

    A negation holds where some value is another, both taken whole and as a list.
    """
    test = text_test(operator, value)
    if OPERATORS[operator].negates:
        return lambda view: any(test(text) and any(test(item) for item in listed(text)) for text in view.header(name))

    def matches(view: View) -> bool:
        for text in view.header(name):
            if test(text):
                return True
            if "," in text and any(test(item) for item in listed(text)):
                return True
        return False

    return matches


def _parameter(operator: str, value: str, name: str) -> Matcher:
    """A value may match as any framework reads it; a negation looks at the common reading alone."""
    test = text_test(operator, value)
    if OPERATORS[operator].negates:
        return _any_value(lambda view: view.parameter(name), test)
    return _any_value(lambda view: view.parameter_readings(name), test)


def _path(operator: str, value: str) -> Matcher:
    """Any spelling may match; a negation holds where a spelling matches neither with nor without the mount point.

    Only a value with a percent sign can be meant as the path was sent.
    """
    negated = OPERATORS[operator].negates
    holds = _path_test(negated or operator, value)
    sent = _path_test(negated or operator, upper_hex(value)) if "%" in value else None
    if negated:
        return lambda view: any(not any(map(holds, paths)) for paths in view.paths()) and not _holds_sent(sent, view)

    def matches(view: View) -> bool:
        for paths in view.paths():
            for path in paths:
                if holds(path):
                    return True
        return _holds_sent(sent, view)

    return matches


def _holds_sent(holds: Test | None, view: View) -> bool:
    return holds is not None and any(map(holds, view.exchange.request.sent_paths()))


def _path_test(operator: str, value: str) -> Test:
    """Compare paths as if neither had a trailing slash, but `/admin/` begins no `/administrator`."""
    if operator in ("eq", "endswith"):
        return text_test(operator, value.rstrip("/"))
    test = text_test(operator, value)
    return lambda path: test(path + "/")


def _in_range(condition: Condition) -> Matcher:
    holds = parse_network(str(condition.value)).holds
    wanted = not OPERATORS[condition.operator].negates

    def matches(view: View) -> bool:
        packed = view.address()
        return packed is not None and holds(packed) is wanted

    return matches


def _status(operator: str, value: int) -> Matcher:
    holds = OPERATORS[operator].number
    if holds is None:
        raise KeyError(operator)
    return lambda view: holds(view.exchange.status, value)


def _all(matchers: tuple[Matcher, ...]) -> Matcher:
    if not matchers:
        return lambda _: True
    if len(matchers) == 1:
        return matchers[0]
    if len(matchers) == 2:
        first, second = matchers
        return lambda view: first(view) and second(view)

    def matches(view: View) -> bool:
        for matcher in matchers:  # noqa: SIM110  # a generator costs more than the test itself
            if not matcher(view):
                return False
        return True

    return matches


def _one(matchers: tuple[Matcher, ...]) -> Matcher:
    if len(matchers) == 1:
        return matchers[0]

    def matches(view: View) -> bool:
        for matcher in matchers:  # noqa: SIM110  # a generator costs more than the test itself
            if matcher(view):
                return True
        return False

    return matches
