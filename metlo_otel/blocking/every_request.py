"""Rules for every request: whether a rule is one, and that whoever writes one must say so."""

from __future__ import annotations

from typing import Any

from metlo_otel.blocking.checks import RuleError
from metlo_otel.blocking.rules import ALL, BLOCK, RATE_LIMIT, Condition, Group, Rule, parse_rule

EVERY_PATH = Condition("path", "contains", "")
"""What `path: '*'` of rules files is on the wire: the condition that every request meets."""

SAID = "path: '*' means every request"


def is_for_every_request(rule: Rule) -> bool:
    """Whether no request is left out by a rule's conditions, as far as the conditions alone tell."""
    return all(map(_holds_always, rule.groups))


def needs_condition(kind: str, identifiers: tuple[str, ...]) -> bool:
    """Whether a rule without any condition would close the app for everybody: a block, or a limit for all together."""
    return kind == BLOCK or (kind == RATE_LIMIT and not identifiers)


def shuts_everybody_out(rule: Rule) -> bool:
    """Whether a rule, enforced, closes the app for everybody at once."""
    return needs_condition(rule.kind, rule.identifiers) and is_for_every_request(rule)


def check_said(rule: Rule) -> None:
    """Raise RuleError for a rule that would close the app for everybody only because nothing was filled in."""
    if needs_condition(rule.kind, rule.identifiers) and not any(group.conditions for group in rule.groups):
        wire = '{"field": "path", "operator": "contains", "value": ""} on the wire'
        raise RuleError("conditionGroups", f"needs a condition; {SAID} ({wire})")


def parse_written(item: Any) -> Rule:
    """Read a rule in the wire form that somebody wrote here; what other backends serve is read by `parse_rules`.

    Raises RuleError for the first thing that is wrong with it.
    """
    rule = parse_rule(item)
    check_said(rule)
    return rule


def _holds_always(group: Group) -> bool:
    holds = map(_is_met_always, group.conditions)
    return all(holds) if group.rule == ALL else any(holds)


def _is_met_always(condition: Condition) -> bool:
    """Whether every request meets a condition: paths begin with a slash, and are compared as if they ended with one."""
    value = str(condition.value)
    if condition.field == "path":
        bare = value in ("", "/") or (condition.operator == "endswith" and not value.strip("/"))
        return bare and condition.operator in ("contains", "startswith", "endswith")
    return condition.field == "ip_address" and condition.operator == "eq" and value.endswith("/0")
