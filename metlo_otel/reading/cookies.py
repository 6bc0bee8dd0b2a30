"""Cookie headers (RFC 6265) as frameworks read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from metlo_otel.reading.located import Located

_PAIR = re.compile(r"(?:\A|;)\s*([^=;\s][^=;]*)=((?:\s*\"[^\"]*\")?[^;]*)")
_ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def pieces(line: str) -> Iterator[tuple[str, str, bool]]:
    """The name and value of each piece of a header, as sent, and whether there is an `=` between them."""
    for piece in line.split(";"):
        name, equals, value = piece.strip().partition("=")
        if name or equals:
            yield name, value, bool(equals)


def located(line: str) -> Iterator[Located]:
    """The cookies of a Cookie header, or the one of Set-Cookie with its attributes; a value's quotes belong to it."""
    for pair in _PAIR.finditer(line):
        yield pair[1], *pair.span(2)


def cookies(header: Callable[[str], list[str]]) -> dict[str, str]:
    """The request's cookies as sent; of repeated ones the first, which is the more specific (RFC 6265, section 5.4)."""
    found: dict[str, str] = {}
    for line in header("cookie"):
        for name, value, equals in pieces(line):
            if equals:
                found.setdefault(name, value.strip('"'))
    return found


def unescaped(text: str) -> str:
    """A quoted value as frameworks read it: `\\145` is an `e`, and so is `\\e`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], text) if "\\" in text else text
