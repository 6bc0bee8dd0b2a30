"""Urlencoded forms, and pairs as in them elsewhere: whether a text looks like one, and the places of its values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote_plus, unquote_plus

from metlo_otel.core.portions import portions
from metlo_otel.core.query import pairs, unquoted
from metlo_otel.reading.located import Located

_LIKE_A_FORM = re.compile(r"&*[\w.%+\-\[\]~!*$]{1,200}=")
# As for detection: a name without signs and a value of less than twelve letters and digits are no attack.
_PLAIN_PAIR = re.compile(
    r"(?:\A|&)(?:[A-Za-z0-9.-]|_(?!_)){0,40}(?:\[[A-Za-z0-9]{0,20}\]){0,3}(?:=[A-Za-z0-9]{0,11})?(?=&|\Z)"
)
_MANY_MARKS = re.compile("&&+")
_IN_A_URL = re.compile(r"(?:\A|[?&#;,])\s?([^=&#;,?\s\"'<>]+)=\"?([^&#;,\s\"'<>]*)")


def telling_pairs(text: str) -> Iterator[tuple[str, str]]:
    """The decoded pairs of a long form or query, without those of plain short words: in them nothing is said."""
    for portion in portions(_MANY_MARKS.sub("&", text) if "&&" in text else text, "&"):
        once = "&".join(dict.fromkeys(portion.split("&")))
        yield from pairs(_PLAIN_PAIR.sub("", once))


def located_pairs(body: bytes) -> Iterator[Located]:
    """The decoded name of each pair, and its value as sent; both are the piece's end without `=`."""
    end = -1
    for piece in body.split(b"&"):
        start, end = end + 1, end + 1 + len(piece)
        if piece:
            name, equals, _ = piece.partition(b"=")
            yield unquoted(name.decode("utf-8", "replace")), start + len(name) + len(equals), end


def located_in_url(text: str) -> Iterator[Located]:
    """The decoded names and the values of pairs in a URL, or in a text that holds one."""
    for pair in _IN_A_URL.finditer(text):
        yield unquoted(pair[1]), *pair.span(2)


def said(value: bytes) -> str:
    """What a value of a pair says; bytes that are no UTF-8 are kept as halves of surrogate pairs."""
    text = value.decode("utf-8", "surrogateescape")
    return unquote_plus(text, errors="surrogateescape") if "%" in text or "+" in text else text


def written(text: str) -> bytes:
    """A value as a form writes it."""
    return quote_plus(text, errors="replace").encode()


def looks_like_a_form(text: str) -> bool:
    """Whether a text begins as a form does: a name and its `=`."""
    return _LIKE_A_FORM.match(text) is not None
