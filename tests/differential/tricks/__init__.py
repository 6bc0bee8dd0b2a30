"""The table of tricks, written by hand: for each place, the ways to say a value there."""

from __future__ import annotations

from dataclasses import replace

from tests.differential.message import Trick
from tests.differential.tricks import documents, forms, head, line, padded

# A NUL, or three steps up: what detection rejects whatever the value.
_TELLING = {
    *("path-many-dots", "path-nul-at-the-end", "query-nul-before", "query-utf-16"),
    *("query-charset-utf-16", "query-charset-utf-16-le", "query-charset-utf-32"),
    *("form-nul-before", "form-raw-nul-before", "form-charset-utf-16", "form-charset-utf-16-whole"),
    *("json-nul-escape-before", "multipart-part-charset-utf-16", "text-nul-before", "header-nul-before"),
}
_ALL = (*line.TRICKS, *head.TRICKS, *forms.TRICKS, *documents.TRICKS, *padded.TRICKS)
assert {trick.id for trick in _ALL} >= _TELLING

TRICKS: tuple[Trick, ...] = tuple([replace(trick, telling=trick.id in _TELLING) for trick in _ALL])
