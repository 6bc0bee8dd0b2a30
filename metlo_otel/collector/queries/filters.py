"""Parameters of a question, checked and turned into conditions, and its answer page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select

LARGEST_PAGE = 500
DEFAULT_PAGE = 50
_LARGEST_ID = 2**63 - 1
_LARGEST_OFFSET = 1_000_000
MOST_COUNTED = 10_000  # rows of a total; where there are more it is one more than this
_CURSORS = ("before", "after")
_HIGHEST = 2**62
_UNITS = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000}  # microseconds
_COMPARED = re.compile(r"(>=|<=|>|<)\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-zµ]*)")

Condition = Callable[[Any], ColumnElement[bool]]
Read = Callable[[str], Any]


class Filter(NamedTuple):
    """One thing to ask for. In the language of searches `column` is compared with a pattern where the value has a `*`,
    and `values` are what is offered.
    """

    read: Read
    condition: Condition
    column: Any = None
    values: tuple[str, ...] = ()


Filters = Mapping[str, Filter]


class FilterError(ValueError):
    """A parameter that is not known or whose value is wrong; the text says which."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON-ready values, and where the next page begins (None: this is the last one). `total` is how many there
    are on all pages, at most MOST_COUNTED and one; None unless it was asked for.
    """

    items: list[dict[str, Any]]
    next: int | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What parameters ask for; `sort` names one of the orders that there are, `start` says where a page begins."""

    conditions: list[ColumnElement[bool]]
    start: list[ColumnElement[bool]]
    total: bool = False
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
    """`404`, `4xx` for the whole class, or a comparison such as `>=400`, as a range. Raises ValueError."""
    if len(text) == 3 and text[0] in "12345" and text[1:].lower() == "xx":
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    if (found := _COMPARED.fullmatch(text)) and not found[3] and found[2].isdecimal():
        return _range(found[1], int(found[2]))
    if text == "0" or (len(text) == 3 and text.isascii() and text.isdecimal()):  # 0: nobody knows it
        return int(text), int(text)
    raise ValueError("a status such as 404, a class such as 5xx or a comparison such as >=400 is expected")


def took(text: str) -> tuple[int, int]:
    """A comparison of times such as `>500ms`, as a range of microseconds. Raises ValueError."""
    found = _COMPARED.fullmatch(text.lower())
    if found is None or found[3] not in _UNITS:
        raise ValueError("a comparison with a unit is expected, such as >500ms or <=2s")
    return _range(found[1], int(float(found[2]) * _UNITS[found[3]]))


def _range(sign: str, value: int) -> tuple[int, int]:
    return {">": (value + 1, _HIGHEST), ">=": (value, _HIGHEST), "<": (0, value - 1), "<=": (0, value)}[sign]


def one_of(*words: str) -> Read:
    """A reader of one of these words."""

    def read(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"one of {', '.join(words)} is expected")

    return read


def ask(parameters: Mapping[str, str], filters: Filters, sorts: tuple[str, ...] = ()) -> Question:
    """What `parameters` ask for, beside `filters`: `limit`, `total`, and where there are `sorts` `sort` and `offset`.

    Raises FilterError.
    """
    conditions: list[ColumnElement[bool]] = []
    start: list[ColumnElement[bool]] = []
    special: dict[str, Any] = {}
    readers: dict[str, Read] = {"limit": _page_size, "total": boolean}
    if sorts:
        readers |= {"sort": one_of(*sorts), "offset": _offset}
    for name, text in parameters.items():
        if name in readers:
            special[name] = read_value(name, readers[name], text)
        elif name in filters:
            asked = filters[name]
            condition = asked.condition(read_value(name, asked.read, text))
            (start if name in _CURSORS else conditions).append(condition)
        else:
            raise FilterError(f"there is no parameter {unknown(name, [*readers, *filters])}")
    return Question(conditions, start, **{"sort": sorts[0] if sorts else "", **special})


def unknown(name: str, known: Sequence[str]) -> str:
    """A name that nobody knows, in words: what it may have been meant to be, and what there is."""
    near = get_close_matches(name[:60].lower(), known, 1)
    meant = f"; did you mean {near[0]}?" if near else ";"
    return f"{name[:60]!r}{meant} there are {', '.join(known)}"


def read_value(name: str, read: Read, text: str) -> Any:
    """The value of one parameter. Raises FilterError."""
    try:
        return read(text)
    except FilterError:
        raise
    except ValueError as problem:
        raise FilterError(f"{name} is {text[:60]!r}, but {problem}") from None


def fetch(connection: Connection, statement: Select[Any], question: Question) -> tuple[list[Row[Any]], int | None]:
    """A page and one row more, which tells whether there is a next page; and the total, where it was asked for."""
    wanted = statement.where(*question.conditions)
    shown = wanted.where(*question.start).limit(question.limit + 1).offset(question.offset)
    found = list(connection.execute(shown))
    if not question.total:
        return found, None
    if not question.start and not question.offset and len(found) <= question.limit:
        return found, len(found)
    return found, _count(connection, wanted)


def _count(connection: Connection, wanted: Select[Any]) -> int:
    """How many rows there are; of very many some."""
    bare = wanted.with_only_columns(literal(1), maintain_column_froms=True).order_by(None)
    some = bare.limit(MOST_COUNTED + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def page(items: list[dict[str, Any]], question: Question, total: int | None = None) -> Page:
    """A page whose `next` is the last item's id, the cursor of lists in the order of ids."""
    more = len(items) > question.limit
    return Page(items[: question.limit], items[question.limit - 1]["id"] if more else None, total)


def page_by_offset(items: list[dict[str, Any]], question: Question, total: int | None = None) -> Page:
    """A page whose `next` is the `offset` of the following one."""
    more = len(items) > question.limit
    return Page(items[: question.limit], question.offset + question.limit if more else None, total)


def _page_size(text: str) -> int:
    if 1 <= (size := number(text)) <= LARGEST_PAGE:
        return size
    raise ValueError(f"a number from 1 to {LARGEST_PAGE} is expected")


def _offset(text: str) -> int:
    if (offset := number(text)) <= _LARGEST_OFFSET:
        return offset
    raise ValueError(f"a number up to {_LARGEST_OFFSET} is expected")
