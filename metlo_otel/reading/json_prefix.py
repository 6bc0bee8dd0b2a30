"""JSON that is cut, over-long or not quite standard: what can be read of it, with bounded work and no recursion."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.json_cut import without_half_escape

_MAX_TEXT = 262_144
_MAX_TOKENS = 20_000
_TURN = 64  # tokens after which others may go first
_MAX_OPEN = 500  # containers inside each other
_MAX_ITEMS = 10  # of an array; the others are read over
_MAX_KEPT = 1000  # values of all that are kept; the others are read over
_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[{}\[\],:])
      | "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)(?:"|(?P<open>\\?\Z))
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>true|false|null|NaN|-?Infinity)
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "NaN": 0.0, "Infinity": 0.0, "-Infinity": 0.0}
_NUMBER_CUT = re.compile(r"[0-9](?:\.|[eE][+-]?)\Z")
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Prefix:
    """What was read: `found` is whether there is any value, `cut` that the text ended before it did.

    `broken` says that it is no JSON (in Python's reading, which also takes NaN and control characters) or that it holds
    a number beyond a double; `value` then holds what stood before.
    """

    value: Any = None
    found: bool = False
    cut: bool = False
    broken: bool = False


def parse_prefix(text: str, turn: Turn = no_turn) -> Prefix:
    """Read as much of a JSON text as there is. Arrays keep 10 items; of a repeated key the last value counts."""
    return _Reader(text[:_MAX_TEXT]).read(turn)


class _Reader:
    __slots__ = ("broken", "expected", "found", "key", "open", "position", "room", "root", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 1 if text.startswith("\ufeff") else 0
        self.broken = self.position == 1
        self.expected = "value"
        self.open: list[tuple[Any, str | None]] = []
        self.key: str | None = None
        self.root: Any = None
        self.found = False
        self.room = _MAX_KEPT

    def read(self, turn: Turn) -> Prefix:
        for number in range(_MAX_TOKENS):
            if not number % _TURN and turn():
                break
            match = _TOKEN.match(self.text, self.position)
            if match is None or match.lastgroup == "open":
                return self._end()
            self.position = match.end()
            if not self._take(match.lastgroup or "", match[match.lastgroup or 0]):
                return self._result(broken=True)
        return self._result(cut=True)

    def _take(self, kind: str, token: str) -> bool:
        """Whether the token may stand here; if so it is noted."""
        if kind == "mark":
            return self._mark(token)
        if kind == "string" and self.expected in ("key", "first key"):
            self.key = self._text(token)
            self.expected = "colon"
            return True
        if self.expected not in ("value", "first value"):
            return False
        self._put(self._scalar(kind, token))
        self.expected = "after"
        return True

    def _mark(self, mark: str) -> bool:
        expected = self.expected
        if mark in "{[":
            return expected in ("value", "first value") and self._enter({} if mark == "{" else [])
        if mark == ":":
            self.expected = "value"
            return expected == "colon"
        inside = self.open[-1][0] if self.open else None
        if mark == ",":
            self.expected = "key" if isinstance(inside, dict) else "value"
            return expected == "after" and inside is not None
        empty, kind = ("first key", dict) if mark == "}" else ("first value", list)
        return isinstance(inside, kind) and expected in ("after", empty) and self._leave()

    def _enter(self, container: Any) -> bool:
        self._put(container)
        self.open.append((container, self.key))
        self.expected = "first key" if isinstance(container, dict) else "first value"
        return len(self.open) <= _MAX_OPEN

    def _leave(self) -> bool:
        self.open.pop()
        self.expected = "after"
        return True

    def _put(self, value: Any) -> None:
        if not self.open:
            self.root, self.found = value, True
            return
        container = self.open[-1][0]
        self.room -= 1
        if self.room < 0:
            return
        if isinstance(container, dict):
            container[self.key] = value
        elif len(container) < _MAX_ITEMS:
            container.append(value)

    def _scalar(self, kind: str, token: str) -> Any:
        if kind == "string":
            return self._text(token)
        if kind == "word":
            return _WORDS[token]
        number = float(token)
        self.broken |= math.isinf(number)
        return number

    def _text(self, raw: str) -> str:
        if "\\" in raw:
            try:
                raw = json.loads(f'"{raw}"', strict=False)
            except ValueError:
                self.broken = True
        return raw if raw.isascii() else raw.encode("utf-8", "replace").decode()

    def _end(self) -> Prefix:
        """No token begins here: the text is over, or cut within a token, or broken."""
        start = _SPACE.match(self.text, self.position)
        rest = self.text[start.end() if start else self.position :]
        if not rest:
            return self._result(cut=bool(self.open) or not self.found)
        wanted = self.expected in ("value", "first value")
        if rest[0] == '"' and (wanted or self.expected in ("key", "first key")):
            if wanted:
                self._put(self._text(without_half_escape(rest[1:])))
            return self._result(cut=True)
        cut = wanted and (rest == "-" or any(word.startswith(rest) for word in _WORDS))
        cut = cut or (self.expected == "after" and _NUMBER_CUT.match(self.text, self.position - 1) is not None)
        return self._result(cut=cut, broken=not cut)

    def _result(self, cut: bool = False, broken: bool = False) -> Prefix:
        return Prefix(self.root, self.found, cut, broken or self.broken)
