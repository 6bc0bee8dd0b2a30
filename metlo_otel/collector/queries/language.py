"""The language of searches: `status:5xx path:/api/* -user:anna took:>500ms`, all of which must hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, true

from metlo_otel.collector.queries.filters import Filter, FilterError, Filters, read_value, unknown

_TERM = re.compile(r'(-?)(?:([A-Za-z][\w-]*):)?("(?:[^"\\]|\\.)*"(?=\s|$)|[^\s"]\S*|)')
_MOST = 20  # terms
_ALSO = {"address": "source", "ip": "source"}  # other names of filters
_NOT_ASKED = frozenset(("before", "after", "since", "until", "q"))  # said elsewhere: by paging and the time picker


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a search; without a name it is about what a list is mostly searched by."""

    name: str
    value: str
    negated: bool = False
    quoted: bool = False


def with_language(filters: Filters, bare: str) -> Filters:
    """`filters` and `q`, which takes the language; a word without a name is looked for as `bare`."""
    known = {name: each for name, each in filters.items() if name not in _NOT_ASKED}
    names = known | {other: known[name] for other, name in _ALSO.items() if name in known}
    return {
        **filters,
        "q": Filter(lambda text: list(_conditions(text, names, bare)), lambda found: and_(true(), *found)),
    }


def offered(filters: Filters, more: Mapping[str, list[str]] | None = None) -> list[str]:
    """What can be written: each name, and beside it the values that are known."""
    known = {name: list(each.values) for name, each in filters.items() if name not in _NOT_ASKED}
    return [
        text
        for name, values in {**known, **(more or {})}.items()
        for text in (f"{name}:", *(f"{name}:{_quote(value)}" for value in values))
    ]


def read_terms(text: str) -> list[Term]:
    """The parts of a search. Raises FilterError for a quotation mark that is not closed, and for too many parts."""
    found: list[Term] = []
    at, text = 0, text.strip()
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None or match.end() == at or (match.end() < len(text) and not text[match.end()].isspace()):
            raise FilterError(f'a quotation mark is not closed in {text[at:][:60]!r}; write name:"some words"')
        found.append(_term(*match.groups()))
        at = match.end() + len(text[match.end() :]) - len(text[match.end() :].lstrip())
    if len(found) > _MOST:
        raise FilterError(f"a search has at most {_MOST} parts, not {len(found)}")
    return found


def _term(minus: str, name: str | None, value: str) -> Term:
    if value.startswith('"'):
        return Term((name or "").lower(), re.sub(r"\\(.)", r"\1", value[1:-1]), bool(minus), quoted=True)
    return Term((name or "").lower(), value, bool(minus))


def _conditions(text: str, known: Filters, bare: str) -> Iterator[ColumnElement[bool]]:
    for term in read_terms(text):
        name = term.name or bare
        if name not in known:
            raise FilterError(f"there is no {unknown(name, list(known))}; what is no name stands in quotation marks")
        if not term.value:
            example = next(iter(known[name].values), "…")
            raise FilterError(f"{name}: has no value; write for example {name}:{example}")
        condition = _condition(name, known[name], term)
        yield not_(func.coalesce(condition, false())) if term.negated else condition


def _condition(name: str, asked: Filter, term: Term) -> ColumnElement[bool]:
    if "*" in term.value and not term.quoted and asked.column is not None:
        like: ColumnElement[bool] = func.lower(asked.column).like(_pattern(term.value), escape="!")
        return like
    return asked.condition(read_value(name + ":", asked.read, term.value))


def _pattern(value: str) -> str:
    """`/api/*` as LIKE has it."""
    kept: Any = re.sub(r"([!%_])", r"!\1", value.lower())
    return str(kept).replace("*", "%")


def _quote(value: str) -> str:
    """A value as it is written: in quotation marks where it has spaces or signs of the language."""
    if re.fullmatch(r'[^\s"*]+', value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
