"""What a rule may ask for, said once: every field and operator with its names, its test and how it is looked up.

A row is all that a new one needs: the wire, rules files, the index and the dashboard's form are derived from these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Test = Callable[[str], bool]
EXACT, RANGE, PREFIX = "exact", "range", "prefix"
SUFFIX, CONTAINS, PRESENT = "suffix", "contains", "present"


@dataclass(frozen=True, slots=True)
class Field:
    """A part of an exchange: `wire` as agent-config names it, `written` in rules files, `words` on pages."""

    wire: str
    written: str
    words: str
    keyed: bool = False
    """Whether it has a name, too."""
    answered: bool = False
    """Whether it is a number that is known after the response, so that only rate limits may ask for it."""
    indexed: bool = True
    """Whether rules can be found by it, without testing them one by one."""


FIELDS = {
    field.wire: field
    for field in (
        Field("path", "path", "Path"),
        Field("method", "method", "Method"),
        Field("request_header", "header", "Header …", keyed=True),
        Field("request_parameter", "parameter", "Query parameter …", keyed=True),
        Field("request_body", "body", "Body", indexed=False),
        Field("ip_address", "ip", "Address"),
        Field("user", "user", "User"),
        Field("unique_session_key", "session", "Session"),
        Field("status_code", "status", "Status (rate limits)", answered=True, indexed=False),
    )
}


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison: `wire` as agent-config names it, `written` in rules files, `words` on pages."""

    wire: str
    written: str
    words: str
    text: Callable[[str], Test] | None = None
    """The test of a text, made for a rule's value; None where texts are not compared so, or `negates` tells."""
    number: Callable[[int, int], bool] | None = None
    """Whether a status and a rule's value are so; a status of 0 is none, for the client had left."""
    look_up: str = PRESENT
    """How rules with it are found: where there is any text at all, unless there is a better way."""
    negates: str | None = None
    """The operator on texts whose opposite it is."""


OPERATORS = {
    operator.wire: operator
    for operator in (
        Operator(
            *("eq", "is", "is"),
            text=lambda value: lambda text: text == value,
            number=lambda status, value: status == value != 0,
            look_up=EXACT,
        ),
        Operator(
            *("contains", "contains", "contains"),
            text=lambda value: lambda text: value in text,
            look_up=CONTAINS,
        ),
        Operator(
            *("startswith", "starts with", "begins with"),
            text=lambda value: lambda text: text.startswith(value),
            look_up=PREFIX,
        ),
        Operator(
            *("endswith", "ends with", "ends with"),
            text=lambda value: lambda text: text.endswith(value),
            look_up=SUFFIX,
        ),
        Operator(
            *("nt_eq", "is not", "is not"),
            number=lambda status, value: status not in (0, value),
            negates="eq",
        ),
        Operator("nt_contains", "does not contain", "does not contain", negates="contains"),
        Operator("nt_startswith", "does not start with", "does not begin with", negates="startswith"),
        Operator("nt_endswith", "does not end with", "does not end with", negates="endswith"),
        Operator("gt", "above", "is greater than", number=lambda status, value: status > max(value, 0)),
        Operator("lt", "below", "is less than", number=lambda status, value: 0 < status < value),
    )
}


def operators_of(field: str) -> dict[str, Operator]:
    """The operators that go with a field, by their names on the wire."""
    numbers = FIELDS[field].answered
    return {
        name: operator
        for name, operator in OPERATORS.items()
        if (operator.number if numbers else operator.text or operator.negates)
    }


def text_test(operator: str, value: str) -> Test:
    """The test that a text has to pass. Raises KeyError for an operator that compares no texts."""
    negated = OPERATORS[operator].negates
    if negated is not None:
        holds = text_test(negated, value)
        return lambda text: not holds(text)
    make = OPERATORS[operator].text
    if make is None:
        raise KeyError(operator)
    return make(value)
