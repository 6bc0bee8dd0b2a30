"""Conditions as people write them: `path: /admin/*`, `header: {User-Agent: {contains: curl}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from metlo_otel.blocking.checks import RuleError, one_of, shown, text
from metlo_otel.blocking.rules import ALL, KEYED_FIELDS, ONE, Condition, Group, text_value
from metlo_otel.core.addresses import parse_network

P = ParamSpec("P")
T = TypeVar("T")

CONDITIONS = {
    "path": "path",
    "method": "method",
    "header": "request_header",
    "parameter": "request_parameter",
    "body": "request_body",
    "ip": "ip_address",
    "user": "user",
    "session": "unique_session_key",
    "status": "status_code",
}
OPERATORS = {
    "is": "eq",
    "contains": "contains",
    "starts with": "startswith",
    "ends with": "endswith",
    "is not": "nt_eq",
    "does not contain": "nt_contains",
    "does not start with": "nt_startswith",
    "does not end with": "nt_endswith",
}
STATUS_OPERATORS = {"is": "eq", "is not": "nt_eq", "above": "gt", "below": "lt"}


class Mistakes:
    """Collects what is wrong with one rule, so that all of it is told at once."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[RuleError] = []

    def add(self, field: str, message: str) -> None:
        """Keep a mistake in `field`."""
        self.found.append(RuleError(field, message))

    def attempt(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `read` answers, None where it raises a RuleError, which is kept."""
        try:
            return read(*args, **kwargs)
        except RuleError as problem:
            self.found.append(problem)
            return None


def condition_groups(name: str, value: Any, mistakes: Mistakes) -> Iterator[Group]:
    """The groups that one line of conditions means; headers and parameters have a name each."""
    field = CONDITIONS[name]
    if field not in KEYED_FIELDS:
        yield from mistakes.attempt(_tests, field, None, value, name) or ()
    elif not isinstance(value, Mapping) or not value:
        mistakes.add(name, f"has names and values, like {name}: {{Name: value}}, not {shown(value)}")
    else:
        for key, test in value.items():
            if mistakes.attempt(text, key, name):
                yield from mistakes.attempt(_tests, field, key, test, f"{name}.{key}") or ()


def _tests(field: str, key: str | None, value: Any, where: str) -> list[Group]:
    if isinstance(value, list):
        if not value or any(isinstance(item, list | Mapping) for item in value):
            raise RuleError(where, "is one value or a list of plain values of which one must match")
        return [_group(field, key, "is", value, where, plain=True)]
    if not isinstance(value, Mapping):
        return [_group(field, key, "is", [value], where, plain=True)]
    if not value:
        raise RuleError(where, "needs a comparison, like {contains: text}")
    names = STATUS_OPERATORS if field == "status_code" else OPERATORS
    groups = []
    for written, operand in value.items():
        operator = one_of(str(written).replace("_", " "), names, where)
        values = operand if isinstance(operand, list) else [operand]
        if not values:
            raise RuleError(f"{where}.{written}", "is an empty list")
        groups.append(_group(field, key, operator, values, f"{where}.{written}", plain=False))
    return groups


def _group(field: str, key: str | None, operator: str, values: list[Any], where: str, plain: bool) -> Group:
    """Of several values one must match; where they are ruled out, all must."""
    groups = [_conditions(field, key, operator, value, where, plain) for value in values]
    if len(groups) == 1:
        return Group(ALL, tuple(groups[0]))
    if any(len(group) > 1 for group in groups):
        raise RuleError(where, "takes a class like 4xx alone, not in a list; write {above: 399, below: 600}")
    return Group(ALL if "not" in operator else ONE, tuple([group[0] for group in groups]))


def _conditions(field: str, key: str | None, operator: str, value: Any, where: str, plain: bool) -> list[Condition]:
    if field == "status_code":
        return _status(operator, value, where)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RuleError(where, f"is text, not {shown(value)}; put it in quotes")
    wire = OPERATORS[operator]
    if field == "path":
        wire, value = _path(wire, value, where, plain)
    elif plain and (value.startswith("*") or value.endswith("*")) and len(value) > 1:
        right = f"{{contains: {shown(value.strip('*'))}}}, or {{is: {shown(value)}}} for the star itself"
        raise RuleError(where, f"has a * that only path understands; write {right}")
    if field == "method":
        value = value.upper()
    if field == "ip_address" and wire in ("eq", "nt_eq"):
        _address(value, where)
    return [Condition(field, wire, text_value(field, wire, value, where), key)]


def _path(wire: str, value: str, where: str, plain: bool) -> tuple[str, str]:
    if not plain:
        return wire, value
    inner = value.strip("*")
    if "*" in inner:
        raise RuleError(where, f"has a * in the middle, which is only understood at either end: {shown(value)}")
    if not value.startswith(("/", "*")):
        raise RuleError(where, f"begins with / or *, like {shown('/' + value)}, not {shown(value)}")
    if value.startswith("*") and (value.endswith("*") or not inner):
        return "contains", inner
    if value.startswith("*"):
        return "endswith", inner
    return ("startswith", inner) if value.endswith("*") else ("eq", value)


def _address(value: str, where: str) -> None:
    try:
        parse_network(value)
    except ValueError as problem:
        raise RuleError(where, f"is an address or a range like 10.0.0.0/8: {problem}") from None


def _status(operator: str, value: Any, where: str) -> list[Condition]:
    match = re.fullmatch(r"([1-5])xx", value, re.IGNORECASE) if isinstance(value, str) else None
    if match and operator == "is":
        first = int(match[1]) * 100
        return [Condition("status_code", "gt", first - 1), Condition("status_code", "lt", first + 100)]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1000:
        raise RuleError(where, f"is a status like 401 or a class like 4xx, not {shown(value)}")
    return [Condition("status_code", STATUS_OPERATORS[operator], value)]
