"""Query strings and urlencoded forms: pairs in their order, each with the place of its value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_to_bytes

_PIECE = re.compile(r"[^&]+")
_LIKE_A_FORM = re.compile(r"&*[\w.%+\-\[\]~!*$]{1,200}=")


def pairs(text: str, encoding: str = "utf-8") -> Iterator[tuple[str, str]]:
    """The decoded names and values; empty pieces count for nothing, a name without `=` has the empty value."""
    encoded = "%" in text or "+" in text
    for piece in filter(None, text.split("&")):
        name, _, value = piece.partition("=")
        yield (unquoted(name, encoding), unquoted(value, encoding)) if encoded else (name, value)


def located_pairs(text: str) -> Iterator[tuple[str, int, int]]:
    """The decoded name of each pair, and where its value begins and ends; both are the piece's end without `=`."""
    for piece in _PIECE.finditer(text):
        name, equals, _ = piece[0].partition("=")
        yield unquoted(name, "utf-8"), piece.start() + len(name) + len(equals), piece.end()


def looks_like_a_form(text: str) -> bool:
    """Whether a text begins as a form does: a name and its `=`."""
    return _LIKE_A_FORM.match(text) is not None


def unquoted(text: str, encoding: str) -> str:
    """A name or value of a form, decoded; what is invalid is replaced."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    return unquote_to_bytes(text).decode(encoding, "replace") if text.isascii() else unquote(text, encoding, "replace")
