"""A long JSON text as small documents, one after the other: read by the fast parser, and never held as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from metlo_otel.core.portions import PORTION, portions
from metlo_otel.reading.json_cut import Missing
from metlo_otel.reading.names import OTHER

_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_CLOSING = {"{": "}", "[": "]"}
_ROUNDS = 3  # levels of brackets that pair which are taken out at once
_MAX_OPEN = 1024  # containers in each other, as orjson has it; Python's own reader takes fewer
_FAST = 8192  # characters up to which orjson reads: it takes twelve times the text while it does


class NotJsonError(ValueError):
    """The text is no JSON, or not all of it; what stood before the fault was told."""


class TooDeepError(NotJsonError):
    """Its parts stand in one another so deep that only some readers take it."""


def load(text: str) -> Any:
    """The document of a JSON text, also with NaN and control characters as Python takes it; Missing: none."""
    if len(text) <= _FAST:
        try:
            return orjson.loads(text)
        except (orjson.JSONDecodeError, TypeError):
            pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return Missing


def documents(text: str) -> Iterator[Any]:
    """Documents that together hold what the text does, each within the containers that it stands in.

    `{"a": [1, 2], "b": 3}` may come as `{"a": [1]}` and `{"a": [2], "b": 3}`. Raises NotJsonError.
    """
    opened: list[tuple[str, str]] = []  # each container's bracket, and the name in it of what is open below
    start = 0
    while start < len(text):
        brackets = [bracket for bracket, _ in opened]
        end, structure = _piece(text, start, brackets)
        still_open = _open_after(brackets, structure)
        if (end < len(text)) != bool(still_open):
            raise NotJsonError
        found = load(_opening(opened) + text[start:end] + "".join([_CLOSING[each] for each in reversed(still_open)]))
        if found is Missing:
            raise NotJsonError
        yield found
        opened = _named(still_open, found)
        start = end + 1


def lines(text: str) -> Iterator[Any]:
    """The documents of lines (NDJSON), many in a list; what is none is the line's text."""
    for portion in portions(text.replace("\r", "\n") if "\r" in text else text, "\n"):
        each = [line for line in portion.splitlines() if line and not line.isspace()]
        together = load(f"[{','.join(each)}]")
        if together is Missing or len(together) != len(each):
            together = [line if (document := load(line)) is Missing else document for line in each]
        yield together


def _piece(text: str, start: int, opened: list[str]) -> tuple[int, str]:
    """Where a piece ends, at a comma or the text's end, and what of it stands outside of strings.

    A piece without a comma is longer: there is a long string in it. Else it is no JSON, as in lines of documents.
    """
    size = PORTION
    while start + size < len(text):
        parts = _split(text[start : start + size])
        for at in range((len(parts) - 1) // 2 * 2, -1, -2):
            comma = parts[at].rfind(",")
            if comma >= 0:
                end = start + sum(map(len, parts[:at])) + at + comma
                return end, "".join([*parts[:at:2], parts[at][:comma]])
        structure = "".join(parts[::2])
        if len(parts) > 2 * _MAX_OPEN or (structure and not _open_after(opened.copy(), structure)):
            raise NotJsonError
        size *= 2
    return len(text), "".join(_split(text[start:])[::2])


def _split(text: str) -> list[str]:
    """What stands outside of strings, and between them what stands in them, at the places where it stands."""
    return (text.replace("\\\\", "  ").replace('\\"', "  ") if "\\" in text else text).split('"')


def _open_after(opened: list[str], structure: str) -> list[str]:
    """The brackets that are open behind a piece. Raises NotJsonError where they do not pair."""
    brackets = structure.encode("utf-8", "replace").translate(None, _NO_BRACKETS)
    if not opened:  # what is open first stays so until the end
        opened, brackets = [chr(each) for each in brackets[:1]], brackets[1:]
        if not _CLOSING.keys() >= set(opened):
            raise NotJsonError
    for _ in range(_ROUNDS):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    for bracket in brackets.decode():
        if not opened:
            raise NotJsonError
        if bracket in _CLOSING:
            opened.append(bracket)
            if len(opened) > _MAX_OPEN:
                raise TooDeepError
        elif _CLOSING.get(opened.pop()) != bracket:
            raise NotJsonError
    return opened


def _opening(opened: list[tuple[str, str]]) -> str:
    parts = []
    for bracket, name in opened[:-1]:
        parts.append(bracket if bracket == "[" else f"{{{json.dumps(name)}:")
    return "".join(parts) + (opened[-1][0] if opened else "")


def _named(brackets: list[str], document: Any) -> list[tuple[str, str]]:
    """The open containers with the names of what is open below each: what the document has last.

    A name that stands there twice may be another; what that is, is not known then.
    """
    found = []
    for bracket in brackets:
        name, below = OTHER, None
        if type(document) is dict and bracket == "{" and document:
            name = next(reversed(document))
            below = document[name]
        elif type(document) is list and document:
            below = document[-1]
        found.append((bracket, name))
        document = below
    return found
