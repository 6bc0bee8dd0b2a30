"""Urlencoded forms: whether a text looks like one, and the places of its values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.core.query import unquoted

_PIECE = re.compile(r"[^&]+")
_LIKE_A_FORM = re.compile(r"&*[\w.%+\-\[\]~!*$]{1,200}=")


def located_pairs(text: str) -> Iterator[tuple[str, int, int]]:
    """The decoded name of each pair, and where its value begins and ends; both are the piece's end without `=`."""
    for piece in _PIECE.finditer(text):
        name, equals, _ = piece[0].partition("=")
        yield unquoted(name), piece.start() + len(name) + len(equals), piece.end()


def looks_like_a_form(text: str) -> bool:
    """Whether a text begins as a form does: a name and its `=`."""
    return _LIKE_A_FORM.match(text) is not None
