"""JSON whose end is missing: closed where it was cut, so that the fast parser can read what stands before."""

from __future__ import annotations

import re
from typing import Any

import orjson

_STRINGS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_BRACKETS = re.compile(r"[][{}]")
_CLOSING = {"{": "}", "[": "]"}
# What a cut may leave behind a comma or an opening bracket: a sign or half a word, in an object after a key.
_HALF_VALUE = r"(?:-|t(?:r|ru)?|f(?:a|al|als)?|n(?:u|ul)?)?"
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_HALF_ITEM = re.compile(rf"\s*{_HALF_VALUE}")
_HALF_MEMBER = re.compile(
    rf'\s*(?:"[^"\\]*(?:{_ESCAPE}[^"\\]*)*(?:\\(?:u[0-9a-fA-F]{{0,3}})?|"\s*(?::\s*{_HALF_VALUE})?)?)?'
)
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\?(?:(?<=\\)u[0-9a-fA-F]{0,3})?\Z")
_HALF_NUMBER = re.compile(r"(?<=[0-9])(?:\.|[eE][+-]?)\Z")

Missing = object()
"""What stands for no document."""


def close_cut(text: str) -> Any:
    """The document that a cut text begins; Missing where it is not simply cut, but broken or no JSON.

    A text value that the cut halves is kept as far as it goes; any other half member is left out.
    """
    pieces = _STRINGS.split(text)
    last, quote, _ = pieces[-1].partition('"')
    closing = _closing("".join([*pieces[:-1:2], last]))
    if not closing:
        return Missing
    whole = without_half_escape(text) + '"' if quote else _HALF_NUMBER.sub("", text)
    document = _loaded(whole + closing)
    if document is not Missing:
        return document
    start = _last_member(pieces, last, len(text) - len(pieces[-1]) + len(last))
    half = _HALF_MEMBER if closing[0] == "}" else _HALF_ITEM
    if start < 0 or not half.fullmatch(text, start + 1):
        return Missing
    if text[start] == "," and text[:start].rstrip()[-1:] in ("{", "["):
        return Missing
    return _loaded(text[: start + (text[start] != ",")] + closing)


def without_half_escape(text: str) -> str:
    """A text without an escape that the cut has halved at its end."""
    tail = text[-16:]
    return text[:-16] + _HALF_ESCAPE.sub(r"\1", tail, count=1) if "\\" in tail else text


def _closing(structure: str) -> str:
    """The brackets that are missing at the end; empty where none are, or where they do not pair."""
    missing: list[str] = []
    for bracket in _BRACKETS.findall(structure):
        if bracket in _CLOSING:
            missing.append(_CLOSING[bracket])
        elif not missing or missing.pop() != bracket:
            return ""
    return "".join(reversed(missing))


def _last_member(pieces: list[str], segment: str, end: int) -> int:
    """Where the last comma or opening bracket outside of texts stands, looking back over at most two texts."""
    for index in range(len(pieces) - 1, max(-1, len(pieces) - 6), -2):
        segment = segment if index == len(pieces) - 1 else pieces[index]
        place = max(map(segment.rfind, ",{["))
        if place >= 0:
            return end - len(segment) + place
        end -= len(segment) + len(pieces[index - 1])
    return -1


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return Missing
