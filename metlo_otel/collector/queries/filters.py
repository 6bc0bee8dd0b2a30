"""Parameters of a question, checked and turned into conditions, and its answer page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select

LARGEST_PAGE = 500
DEFAULT_PAGE = 50
_LARGEST_ID = 2**63 - 1
_LARGEST_OFFSET = 1_000_000

Condition = Callable[[Any], ColumnElement[bool]]
Read = Callable[[str], Any]
Filters = Mapping[str, tuple[Read, Condition]]


class FilterError(ValueError):
    """A parameter that is not known or whose value is wrong; the text says which."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON-ready values, and where the next page begins (None: this is the last one)."""

    items: list[dict[str, Any]]
    next: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """What parameters ask for; `sort` names one of the orders that there are."""

    conditions: list[ColumnElement[bool]]
    limit: int = DEFAULT_PAGE
    offset: int = 0
    sort: str = ""


def number(text: str) -> int:
    """A whole number that fits a column. Raises ValueError."""
    if text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _LARGEST_ID:
        return int(text)
    raise ValueError("a whole number is expected")


def boolean(text: str) -> bool:
    """`true`, `false`, `1` or `0`. Raises ValueError."""
    if text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    raise ValueError("true or false is expected")


def string(text: str) -> str:
    """Text that every database can hold. Raises ValueError."""
    if "\0" in text:
        raise ValueError("a text without NUL is expected")
    return text.encode("utf-8", "replace").decode()


def status(text: str) -> tuple[int, int]:
    """`404`, or `4xx` for the whole class, as a range. Raises ValueError."""
    if len(text) == 3 and text[0] in "12345" and text[1:].lower() == "xx":
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    exact = number(text)
    return exact, exact


def one_of(*words: str) -> Read:
    """A reader of one of these words."""

    def read(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"one of {', '.join(words)} is expected")

    return read


def ask(parameters: Mapping[str, str], filters: Filters, sorts: tuple[str, ...] = ()) -> Question:
    """What `parameters` ask for, beside `filters`: `limit`, and where there are `sorts` `sort` and `offset`.

    Raises FilterError.
    """
    conditions = []
    special: dict[str, Any] = {}
    readers: dict[str, Read] = {"limit": _page_size}
    if sorts:
        readers |= {"sort": one_of(*sorts), "offset": _offset}
    for name, text in parameters.items():
        if name in readers:
            special[name] = read_value(name, readers[name], text)
        elif name in filters:
            read, condition = filters[name]
            conditions.append(condition(read_value(name, read, text)))
        else:
            known = ", ".join([*readers, *filters])
            raise FilterError(f"there is no parameter {name[:60]!r}; there are {known}")
    return Question(conditions, **{"sort": sorts[0] if sorts else "", **special})


def read_value(name: str, read: Read, text: str) -> Any:
    """The value of one parameter. Raises FilterError."""
    try:
        return read(text)
    except ValueError as problem:
        raise FilterError(f"{name} is {text[:60]!r}, but {problem}") from None


def fetch(connection: Connection, statement: Select[Any], question: Question) -> list[Row[Any]]:
    """A page and one row more, which tells whether there is a next page."""
    return list(connection.execute(statement.limit(question.limit + 1).offset(question.offset)))


def page(items: list[dict[str, Any]], question: Question) -> Page:
    """A page whose `next` is the last item's id, the cursor of lists in the order of ids."""
    more = len(items) > question.limit
    return Page(items[: question.limit], items[question.limit - 1]["id"] if more else None)


def page_by_offset(items: list[dict[str, Any]], question: Question) -> Page:
    """A page whose `next` is the `offset` of the following one."""
    more = len(items) > question.limit
    return Page(items[: question.limit], question.offset + question.limit if more else None)


def _page_size(text: str) -> int:
    if 1 <= (size := number(text)) <= LARGEST_PAGE:
        return size
    raise ValueError(f"a number from 1 to {LARGEST_PAGE} is expected")


def _offset(text: str) -> int:
    if (offset := number(text)) <= _LARGEST_OFFSET:
        return offset
    raise ValueError(f"a number up to {_LARGEST_OFFSET} is expected")
