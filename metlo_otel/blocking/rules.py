"""Rules as frozen values, read from the agent-config's `wafConfig` or written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metlo_otel.blocking.checks import RuleError, one_of, shown, text, whole_number
from metlo_otel.blocking.vocabulary import FIELDS, operators_of
from metlo_otel.core.addresses import parse_network

Warn = Callable[[str], None]

BLOCK, RATE_LIMIT, TAG = "block", "rate_limit", "tag"
KINDS = (BLOCK, RATE_LIMIT, TAG)
MODES = ("block", "monitor")
ALL, ONE = "all", "one"
IDENTIFIERS = ("ip", "user", "session")
INTERVALS = {
    "second_1": 1,
    "minute_1": 60,
    "minute_5": 300,
    "minute_10": 600,
    "minute_15": 900,
    "minute_30": 1800,
    "hour_1": 3600,
}
UNITS = (("hour", 3600), ("minute", 60), ("second", 1))
LONGEST_VALUE = 65_536  # characters: longer than any header a server takes, and what a body's kept part is about


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one part of a request; `value` is a number for status_code alone."""

    field: str
    operator: str
    value: str | int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of which all or one must hold: `rule` is `all` or `one`."""

    rule: str
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `threshold` requests in any `interval`, then no more for `duration` (both in seconds)."""

    threshold: int
    interval: float
    duration: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do (`kind`) with the requests that all `groups` match, until `ends` (ms since the epoch, None:
    for ever).
    """

    id: str
    kind: str
    groups: tuple[Group, ...] = ()
    tag: str | None = None
    identifiers: tuple[str, ...] = ()
    limit: RateLimit | None = None
    ends: float | None = None
    name: str | None = None
    monitor: bool = False


def parse_rules(items: Iterable[Any], warn: Warn, source: str = "wafConfig") -> tuple[Rule, ...]:
    """Read the rules of a `wafConfig` list; `warn` gets one message for each rule that is skipped, naming it
    and why.
    """
    found: dict[str, Rule] = {}
    for index, item in enumerate(items):
        try:
            rule = parse_rule(item)
            if rule.id in found:
                raise RuleError("uuid", "is used by an earlier rule")
            found[rule.id] = rule
        except RuleError as problem:
            warn(f"{source}[{index}]{_called(item)}: the rule is skipped: {problem}")
    return tuple(found.values())


def merge_rules(first: Iterable[Rule], then: Iterable[Rule], warn: Warn) -> tuple[Rule, ...]:
    """Both lists, in their order; a rule whose id is taken is skipped with a message."""
    found = {rule.id: rule for rule in first}
    for rule in then:
        if rule.id in found:
            warn(f"rule {rule.id!r}: the rule is skipped: an earlier rule has this id")
        else:
            found[rule.id] = rule
    return tuple(found.values())


def parse_rule(item: Any) -> Rule:
    """Read one rule in the wire form; our own collector says its `name` and `mode` (block or monitor) too.

    Raises RuleError for the first thing that is wrong with it.
    """
    if not isinstance(item, Mapping):
        raise RuleError("", f"a rule is an object, not {type(item).__name__}")
    kind = one_of(item.get("ruleType"), KINDS, "ruleType")
    action = item.get("action")
    if action is not None and not isinstance(action, Mapping):
        raise RuleError("action", f"is an object, not {type(action).__name__}")
    action = action or {}
    if action.get("actionType", "block") != "block":
        raise RuleError("action.actionType", f"is 'block', not {shown(action['actionType'])}")
    return Rule(
        id=text(item.get("uuid"), "uuid"),
        kind=kind,
        groups=_groups(item.get("conditionGroups"), with_status=kind == RATE_LIMIT),
        tag=text(item.get("tagName"), "tagName") if kind == TAG else None,
        identifiers=_identifiers(item.get("identifiers")) if kind == RATE_LIMIT else (),
        limit=_rate_limit(action.get("rateLimit")) if kind == RATE_LIMIT else None,
        ends=_ends(action.get("blockEndTime")),
        name=text(item["name"], "name") if item.get("name") else None,
        monitor=one_of(item.get("mode") or MODES[0], MODES, "mode") == MODES[1],
    )


def parse_condition(item: Any, where: str, with_status: bool) -> Condition:
    """Read one condition; `with_status` says whether the response's status may be asked for. Raises
    RuleError.
    """
    if not isinstance(item, Mapping):
        raise RuleError(where, f"is an object, not {type(item).__name__}")
    field = one_of(item.get("field"), FIELDS, f"{where}.field")
    known = FIELDS[field]
    key = text(item.get("key"), f"{where}.key") if known.keyed else None
    if known.answered and not with_status:
        raise RuleError(f"{where}.field", f"{field} is known after the response, only rate limits ask for it")
    operator = one_of(item.get("operator"), operators_of(field), f"{where}.operator")
    if known.answered:
        return Condition(field, operator, _status(item.get("value"), f"{where}.value"))
    return Condition(field, operator, text_value(field, operator, item.get("value"), f"{where}.value"), key)


def text_value(field: str, operator: str, value: Any, where: str) -> str:
    """A condition's text, checked: not over LONGEST_VALUE characters, and an address range that exists."""
    if not isinstance(value, str):
        raise RuleError(where, f"is text, not {shown(value)}")
    if len(value) > LONGEST_VALUE:
        raise RuleError(where, f"has {len(value)} characters, more than {LONGEST_VALUE}")
    if field == "ip_address" and operator in ("eq", "nt_eq") and "/" in value:
        try:
            parse_network(value)
        except ValueError as problem:
            raise RuleError(where, f"is an address or a range like 10.0.0.0/8: {problem}") from None
    return value


def _called(item: Any) -> str:
    uuid = item.get("uuid") if isinstance(item, Mapping) else None
    return f" (uuid {shown(uuid)})" if uuid is not None else ""


def _groups(items: Any, with_status: bool) -> tuple[Group, ...]:
    where = "conditionGroups"
    if not isinstance(items, list):
        raise RuleError(where, f"is a list (an empty one matches every request), not {shown(items)}")
    return tuple([_group(item, f"{where}[{index}]", with_status) for index, item in enumerate(items)])


def _group(item: Any, where: str, with_status: bool) -> Group:
    if not isinstance(item, Mapping):
        raise RuleError(where, f"is an object, not {type(item).__name__}")
    rule = one_of(item.get("rule"), (ALL, ONE), f"{where}.rule")
    conditions = item.get("conditions")
    if not isinstance(conditions, list):
        raise RuleError(f"{where}.conditions", f"is a list, not {shown(conditions)}")
    read = [
        parse_condition(condition, f"{where}.conditions[{index}]", with_status)
        for index, condition in enumerate(conditions)
    ]
    return Group(rule, tuple(read))


def _status(value: Any, where: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 5:
        value = int(value)
    return whole_number(value, where, 0)


def _identifiers(items: Any) -> tuple[str, ...]:
    if items is not None and not isinstance(items, list):
        raise RuleError("identifiers", f"is a list of {', '.join(IDENTIFIERS)}, not {shown(items)}")
    read = [one_of(item, IDENTIFIERS, f"identifiers[{index}]") for index, item in enumerate(items or ())]
    return tuple(dict.fromkeys(read))


def _rate_limit(item: Any) -> RateLimit:
    where = "action.rateLimit"
    if not isinstance(item, Mapping):
        raise RuleError(where, f"is an object with threshold, interval and duration, not {shown(item)}")
    interval = one_of(item.get("interval"), INTERVALS, f"{where}.interval")
    duration = item.get("duration")
    if not isinstance(duration, Mapping):
        raise RuleError(f"{where}.duration", f"is an object with hour, minute and second, not {shown(duration)}")
    seconds = [whole_number(duration.get(name) or 0, f"{where}.duration.{name}", 0) * size for name, size in UNITS]
    threshold = whole_number(item.get("threshold"), f"{where}.threshold", 1)
    return RateLimit(threshold, INTERVALS[interval], sum(seconds))


def _ends(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise RuleError("action.blockEndTime", f"is milliseconds since 1970 or null, not {shown(value)}")
    return float(value)
