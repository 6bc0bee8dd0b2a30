"""Values of named fields in JSON text, replaced in place: in text cut anywhere, and in many documents in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

# A string, with what is missing at a cut allowed to be missing, and the colon that makes it a key.
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)(\s*:\s*)?', re.DOTALL)
_KEY = re.compile(rb'"([^"]*)"\s*:')
_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\]\r\n]*")


class FieldMask:
    """Replaces the values of keys that `hides` says; such a key holds one of `names`, in their compared form."""

    def __init__(self, names: frozenset[str], hides: Callable[[str], bool], mask: bytes) -> None:
        self._is_hidden = hides
        self._mask = mask
        self._simple = all(re.fullmatch(r"[!#-9;-\[\]-~]+", name) for name in names)

    def __call__(self, body: bytes) -> bytes:
        """The text with the values replaced, everything else byte for byte."""
        if self._cannot_occur(body):
            return body
        kept, position, match = [], 0, _STRING.search(body)
        while match:
            end = match.end()
            if match[2] is not None and self._hides(match[1]):
                kept += [body[position:end], self._mask if end < len(body) else b""]
                position = end = _value_end(body, end)
            match = _STRING.search(body, end)
        return b"".join([*kept, body[position:]]) if kept else body

    def _cannot_occur(self, body: bytes) -> bool:
        """Cheap and sure: none of the names stands there as a key, and no escape could hide one."""
        if b"\\" in body or not self._simple:
            return False
        return not any(map(self._hides, set(_KEY.findall(body))))

    def _hides(self, raw: bytes) -> bool:
        text = raw.decode("utf-8", "replace")
        if "\\" in text:
            text = _unescaped(text)
        return self._is_hidden(text)


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _value_end(body: bytes, start: int) -> int:
    """Where the value ends that begins at `start`: past its closing quote or bracket, or the text's end."""
    first = body[start : start + 1]
    if first == b'"':
        match = _STRING.match(body, start)
        return match.end() - len(match[2] or b"") if match else len(body)
    if first in (b"{", b"["):
        return _nested_end(body, start)
    scalar = _SCALAR.match(body, start)
    return scalar.end() if scalar else start


def _nested_end(body: bytes, start: int) -> int:
    depth = 0
    for match in _NESTING.finditer(body, start):
        token = match[0][:1]
        depth += (token in b"{[") - (token in b"}]")
        if depth == 0:
            return match.end()
    return len(body)
