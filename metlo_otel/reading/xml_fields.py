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
_END = rb"</%s\s*>"


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
            closing = re.compile(_END % re.escape(element), re.IGNORECASE).search(body, position)
            end = closing.start() if closing else len(body)
            yield name, position, end
            position = end
        elif match["attributes"]:
            position = match.start("attributes")
