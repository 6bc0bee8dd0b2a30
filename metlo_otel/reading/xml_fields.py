"""Values of named elements and attributes in markup, whole or cut: XML, and HTML as far as it is written alike."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.reading.located import Located, Wanted

_NAME = rb"[\w.:\x80-\xff-]{1,128}"
_NAMED = re.compile(
    rb"<(?P<element>" + _NAME + rb")(?P<attributes>\s[^<>]*)?(?<!/)>"
    rb"|\s(?P<attribute>" + _NAME + rb")\s*=\s*(?P<value>\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z))"
)
_OF_ELEMENT = rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<%s(?=[\s>])[^<>]*(?<!/)>|</%s\s*>"


def located(body: bytes, wanted: Wanted) -> Iterator[Located]:
    """What elements and attributes of wanted names hold; an attribute's value without its quotes."""
    position = 0
    while match := _NAMED.search(body, position):
        position = match.end()
        element = match["element"]
        if element is None:
            name = match["attribute"].decode("utf-8", "replace")
            if wanted(name):
                start, end = match.span("value")
                closed = end - start > 1 and match["value"][:1] == match["value"][-1:]
                yield name, start + 1, end - closed
        elif wanted(name := element.decode("utf-8", "replace")):
            end = _end(body, position, re.escape(element))
            yield name, position, end
            position = end
        elif match["attributes"]:
            position = match.start("attributes")


def _end(body: bytes, start: int, element: bytes) -> int:
    """Where what an element holds ends, which may be others of its name, comments and CDATA."""
    depth = 1
    for match in re.compile(_OF_ELEMENT % (element, element), re.IGNORECASE | re.DOTALL).finditer(body, start):
        if match[0][:2] != b"<!":
            depth += -1 if match[0][:2] == b"</" else 1
        if not depth:
            return match.start()
    return len(body)
