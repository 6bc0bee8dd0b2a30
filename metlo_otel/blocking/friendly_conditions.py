"""Conditions as people write them: `path: /admin/*`, `header: {User-Agent: {contains: curl}}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from metlo_otel.blocking.checks import RuleError, one_of, shown, text
from metlo_otel.blocking.rules import ALL, ONE, Condition, Group, text_value
from metlo_otel.blocking.vocabulary import FIELDS, OPERATORS, Field, operators_of
from metlo_otel.core.addresses import parse_network

P = ParamSpec("P")
T = TypeVar("T")

CONDITIONS = {field.written: field for field in FIELDS.values()}


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
    if not field.keyed:
        yield from mistakes.attempt(_tests, field, None, value, name) or ()
    elif not isinstance(value, Mapping) or not value:
        mistakes.add(name, f"has names and values, like {name}: {{Name: value}}, not {shown(value)}")
    else:
        for key, test in value.items():
            if mistakes.attempt(text, key, name):
                yield from mistakes.attempt(_tests, field, key, test, f"{name}.{key}") or ()


def _tests(field: Field, key: str | None, value: Any, where: str) -> list[Group]:
    if isinstance(value, list):
        if not value or any(isinstance(item, list | Mapping) for item in value):
            raise RuleError(where, "is one value or a list of plain values of which one must match")
        return [_group(field, key, "eq", value, where, plain=True)]
    if not isinstance(value, Mapping):
        return [_group(field, key, "eq", [value], where, plain=True)]
    if not value:
        raise RuleError(where, "needs a comparison, like {contains: text}")
    names = {operator.written: operator.wire for operator in operators_of(field.wire).values()}
    groups = []
    for written, operand in value.items():
        operator = names[one_of(str(written).replace("_", " "), names, where)]
        values = operand if isinstance(operand, list) else [operand]
        if not values:
            raise RuleError(f"{where}.{written}", "is an empty list")
        groups.append(_group(field, key, operator, values, f"{where}.{written}", plain=False))
    return groups


def _group(field: Field, key: str | None, operator: str, values: list[Any], where: str, plain: bool) -> Group:
    """Of several values one must match; where they are ruled out, all must."""
    groups = [_conditions(field, key, operator, value, where, plain) for value in values]
    if len(groups) == 1:
        return Group(ALL, tuple(groups[0]))
    if any(len(group) > 1 for group in groups):
        raise RuleError(where, "takes a class like 4xx alone, not in a list; write {above: 399, below: 600}")
    return Group(ALL if OPERATORS[operator].negates else ONE, tuple([group[0] for group in groups]))


def _conditions(field: Field, key: str | None, operator: str, value: Any, where: str, plain: bool) -> list[Condition]:
    if field.answered:
        return _status(field.wire, operator, value, where)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RuleError(where, f"is text, not {shown(value)}; put it in quotes")
    name = field.wire
    if name == "path":
        operator, value = _path(operator, value, where, plain)
    elif plain and (value.startswith("*") or value.endswith("*")) and len(value) > 1:
        right = f"{{contains: {shown(value.strip('*'))}}}, or {{is: {shown(value)}}} for the star itself"
        raise RuleError(where, f"has a * that only path understands; write {right}")
    if name == "method":
        value = value.upper()
    if name == "ip_address" and operator in ("eq", "nt_eq"):
        _address(value, where)
    return [Condition(name, operator, text_value(name, operator, value, where), key)]


def _path(operator: str, value: str, where: str, plain: bool) -> tuple[str, str]:
    if not plain:
        return operator, value
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


def _status(field: str, operator: str, value: Any, where: str) -> list[Condition]:
    match = re.fullmatch(r"([1-5])xx", value, re.IGNORECASE) if isinstance(value, str) else None
    if match and operator == "eq":
        first = int(match[1]) * 100
        return [Condition(field, "gt", first - 1), Condition(field, "lt", first + 100)]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1000:
        raise RuleError(where, f"is a status like 401 or a class like 4xx, not {shown(value)}")
    return [Condition(field, operator, value)]
