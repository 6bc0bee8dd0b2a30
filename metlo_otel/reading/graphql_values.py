"""Values in GraphQL text by the name before them: arguments, fields of objects and defaults, whole, cut or broken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.reading.located import Located, Wanted

_BLANK = r"(?:[\s,]|#[^\n]*(?:\n|\Z))*"
_STRING = r'''"""(?:\\"""|.)*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*(?:"|\\?(?=\n|\Z))'''
_NAMED = re.compile(
    rf"(?P<name>[A-Za-z_]\w*){_BLANK}:{_BLANK}(?:[\[\w\]!\s]{{1,120}}?={_BLANK})?"
    rf"(?P<value>{_STRING}|[\[{{]|[^\s,(){{}}\[\]\"#:$!@]+(?!{_BLANK}[:!=]))",
    re.DOTALL,
)
_BOUND = re.compile(rf"([A-Za-z_]\w*){_BLANK}:{_BLANK}\$([A-Za-z_]\w*)")
_SELECTION = re.compile(rb"[\xef\xbb\xbf \t\r\n]*\{[\s,]*[A-Za-z_]")
_NESTING = re.compile(rf"(?:{_STRING})|#[^\n]*|[\[\]{{}}]", re.DOTALL)


def looks_like_a_query(body: bytes) -> bool:
    """Whether a body begins as a selection of GraphQL does, and as no JSON can."""
    return _SELECTION.match(body) is not None


def located(text: str) -> Iterator[Located]:
    """Each name with the place of the value behind its colon: scalars, lists, objects, no variables.

    What stands within a list or object is found by itself too.
    """
    position = 0
    while match := _NAMED.search(text, position):
        start, end = match.span("value")
        if match["value"] in ("[", "{"):
            end = _nested_end(text, start)
            position = start + 1
        else:
            position = end
        yield match["name"], start, end


def bound(text: str, wanted: Wanted) -> set[str]:
    """The variables whose values become those of wanted names."""
    return {match[2] for match in _BOUND.finditer(text) if wanted(match[1])}


def _nested_end(text: str, start: int) -> int:
    depth = 0
    for match in _NESTING.finditer(text, start):
        token = match[0]
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if depth <= 0:
            return match.end()
    return len(text)
