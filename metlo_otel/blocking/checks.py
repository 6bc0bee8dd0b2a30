"""Checks of a rule's parts, with messages that say what would be right."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection
from typing import Any


class RuleError(ValueError):
    """A part of a rule is wrong: `field` says where, the message what is there and what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}" if field else message)
        self.field = field
        self.message = message


def one_of(value: Any, names: Collection[str], where: str, what: str = "") -> str:
    """`value` where it is one of `names`; else RuleError with the names and the nearest one.

    `what` names a part of the field, like `the unit `.
    """
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(value[:100], names, 1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise RuleError(where, f"{what}is one of {', '.join(names)}, not {shown(value)}{hint}")


def text(value: Any, where: str) -> str:
    """`value` where it is text of 1 to 1,000 characters, else RuleError."""
    if isinstance(value, str) and 0 < len(value) <= 1000:
        return value
    raise RuleError(where, f"is text of 1 to 1000 characters, not {shown(value)}")


def whole_number(value: Any, where: str, least: int, what: str = "") -> int:
    """`value` as a whole number of at least `least`, else RuleError; `what` as for one_of."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise RuleError(where, f"{what}is a whole number of at least {least}, not {shown(value)}")
    return int(value)


def shown(value: Any) -> str:
    """A value for a message: short, whatever its size."""
    if isinstance(value, str):
        return reprlib.repr(value[:60])
    return "nothing" if value is None else reprlib.repr(value)
