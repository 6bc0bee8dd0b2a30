"""Values inside a value: JSON in a string, a URL's query, XML's attributes and texts, GraphQL's literals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from metlo_otel.analysis.detectors.decoding import unescaped
from metlo_otel.core.query import unquoted

LEVELS = 2  # that are read below a value
_MOST, _LONGEST = 64, 65_536  # values of one, and characters of one that is looked into
_XML = re.compile(
    r">([^<>]{3,})<|\s[\w:-]{1,60}\s{0,3}=\s{0,3}(?:\"([^\"<]{3,})\"|'([^'<]{3,})')|<!\[CDATA\[(.{3,}?)\]\]>", re.S
)
_PAIR = re.compile(r"(?:^|[?&;])([\w.\[\]$-]{1,60})=([^&]*)")
_HAS_QUERY = re.compile(
    r"(?:[a-z][\w+.-]{1,15}:)?/[^\s?<>'\"]{0,500}\?[\w.\[\]-]{1,60}=|\??[\w.\[\]-]{1,40}=", re.IGNORECASE
)
_GRAPHQL = re.compile(r"\s*(?:query|mutation|subscription|\{)[^\"]{0,400}\(")
_LITERAL = re.compile(r"\"((?:[^\"\\\n]|\\.){3,})\"")


def leaves(value: str, level: int = 0) -> Iterator[str]:
    """Every text inside a value, two levels deep; at most 64 of each level, and none of what is too long."""
    if level >= LEVELS or len(value) > _LONGEST:
        return
    for count, leaf in enumerate(_inside(value)):
        if count >= _MOST:
            return
        if len(leaf) > 2 and leaf != value:
            yield leaf
            yield from leaves(leaf, level + 1)


def _inside(value: str) -> Iterator[str]:
    first = value[:1] if value[:1] > " " else value.lstrip()[:1]
    if first in ("{", "[", '"') and value:
        document = _document(value)
        if document is not None:
            yield from _of_document(document)
        elif '"' in value and _GRAPHQL.match(value):
            yield from _LITERAL.findall(value)
    elif first == "<":
        yield from _of_xml(value)
    elif "=" in value:
        yield from _of_pairs(value)
    elif '"' in value and _GRAPHQL.match(value):
        yield from _LITERAL.findall(value)
    if value[:1].isspace() and first:
        yield value.lstrip()


def _document(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _of_document(document: Any) -> Iterator[str]:
    """Texts and names of a JSON document, without recursion."""
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting += item.values()
            yield from (name for name in item if not name.isidentifier())
        elif isinstance(item, list):
            waiting += item[:_MOST]


def _of_xml(value: str) -> Iterator[str]:
    for match in _XML.finditer(value):
        found = match[1] or match[2] or match[3] or match[4]
        yield unescaped(found) if "&" in found else found


def _of_pairs(value: str) -> Iterator[str]:
    """The values of a URL's query or a form, and what stands behind the first `=` as a whole."""
    found = _HAS_QUERY.match(value)
    if found is None:
        return
    rest = value[found.end() :]
    yield unquoted(rest, "utf-8")
    if "&" in rest:
        for match in _PAIR.finditer(value):
            yield unquoted(match[2], "utf-8")
