"""HTML read as browsers read it, in pieces: tags with their attributes, as far as a budget goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from metlo_otel.analysis.detectors.decoding import unescaped

_TAG = re.compile(r"<(/?[a-z!?%][^\s/>\"'=`<(]{0,40})|<[\s\x00/+]{1,8}(script|iframe|svg|object|embed|style)\b")
_ATTRIBUTE = re.compile(
    r"[\s/\"'+\x00,;]*([^\s=>\"'/<+\x00][^\s=>/\x00]{0,80})"
    r"(?:[\s\x00]{0,20}=[\s\x00+]{0,20}(?:\"([^\"]*)(?:\"|$)|'([^']*)(?:'|$)|`([^`]*)(?:`|$)|([^\s>]*)))?"
)
_TAGS, _ATTRIBUTES = 24, 24  # read of one text
_UNSEEN = re.compile("[\\x00-\\x20\\x7f\\xa0\\xad\\u200b-\\u200d\\u2028\\u2029\\ufeff]+")


class Tag(NamedTuple):
    """One tag as written: name in lower case (with its `/`), attributes decoded, and where it starts and
    ends."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    start: int
    end: int


def tags(lower: str) -> Iterator[Tag]:
    """The first tags of a lower-case text; one that never ends is read as far as it goes."""
    position = 0
    for _ in range(_TAGS):
        found = _TAG.search(lower, position)
        if found is None:
            return
        attributes, position = _attributes(lower, found.end())
        yield Tag(found[1] or found[2], attributes, found.start(), position)


def compact(value: str) -> str:
    """A value as a browser reads a URL: entities decoded, white space and control characters gone."""
    if "&" in value:
        value = _entities(value)
    return value if value.isprintable() and " " not in value else _UNSEEN.sub("", value)


def _entities(value: str) -> str:
    """Entities decoded, of a text in lower case: the two whose names have a capital letter as well."""
    return unescaped(value.replace("&tab;", "\t").replace("&newline;", "\n"))


def _attributes(lower: str, position: int) -> tuple[tuple[tuple[str, str], ...], int]:
    if lower[position : position + 1] == ">":
        return (), position
    found = []
    for _ in range(_ATTRIBUTES):
        match = _ATTRIBUTE.match(lower, position)
        if match is None:
            break
        group = match.lastindex or 1
        value = match[group] if group > 1 else ""
        found.append((match[1], _entities(value) if "&" in value else value))
        position = match.end()
        if lower[position : position + 1] == ">":
            break
    return tuple(found), position
