"""One walk over the tokens of a value in one quoting context: what makes sense as SQL, and the evidence on
the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from metlo_otel.analysis.detectors import sql_tokens as t
from metlo_otel.analysis.detectors import sql_words as w

_LIMIT = 160  # tokens read in one context
_SPOKEN = 2  # blanks of a text that is left open, where prose stood before
ENOUGH = 3  # evidence that makes a finding certain
_NOTHING_AFTER = re.compile(r"(?:--|#)[\s\-+#;*/%\x00'\")]*(?:&.*)?|/\*[\s\-+#;*/%\x00]*")
_ADDED = re.compile(r"\d\s*[-+*/%^|&]\s*[\w.]{1,40}\s*\Z")  # a call that is reckoned with, as a number is not in prose
_COMPARED = re.compile(r"['\"]\s*\w{1,8}\s*=\s*\w{1,8}")

Step = Callable[["Reading", str, int], bool]
"""What a token does to a reading, given its text and its place: whether the text still makes sense."""


class Reading:
    """One walk over the tokens of one context."""

    __slots__ = (
        "alias", "bare", "broke", "connected", "escaped", "formula", "fresh", "last", "late", "left", "need", "quote",
        "reached", "score", "selecting", "stack", "started", "statement", "text", "union",
    )  # fmt: skip

    def __init__(self, text: str, quote: str, late: bool = False) -> None:
        """`late`: so much stands before that what follows has to make sense to its end."""
        self.late = late
        self.text = t.without_comments(text) if "/*" in text or "*/" in text else text
        self.quote = quote
        self.bare = self.need = not quote
        self.escaped = self.started = bool(quote)
        self.stack: list[tuple[int, bool, str]] = []
        self.score = self.reached = 0
        self.left = 0  # kind of the operand on the left of a comparison; negative once its sign was read, 0 for none
        self.connected = False  # whether a boolean operator came before
        self.selecting = False
        self.fresh = False  # whether the last operand was the first thing selected
        self.union = False
        self.formula = False  # whether the value starts as a comparison of its own, as mathematics and filters do
        self.statement = False  # whether the value is a statement of its own, as people show one another
        self.alias = False
        self.broke = False  # whether the text stopped making sense
        self.last = (0, "")

    def read(self, steps: Mapping[int, Step]) -> int:
        """Walk until the text ends or stops making sense, a step for each kind of token; the evidence found as a
        number."""
        for found in t.tokens(self.text, _LIMIT):
            kind = found.lastindex or t.OTHER
            position, self.reached = found.span(kind)
            text = found[kind]
            if not steps[kind](self, text, position):
                return self._broken()
            if kind == t.OPEN_STRING:
                break
            self.last = (kind, text)
            if self.score >= ENOUGH and (self.escaped or self.score >= ENOUGH + 2) and not self.late:
                break
        return self.score

    def _broken(self) -> int:
        """What the evidence is worth where prose follows: nothing but the strongest, unless a quote was
        left before."""
        self.broke = True
        return self.score if self.escaped else self.score - 2

    # Operands

    def number(self, text: str, position: int) -> bool:
        return self.operand(t.NUMBER)

    def string(self, text: str, position: int) -> bool:
        return self.operand(t.STRING)

    def open_string(self, text: str, position: int) -> bool:
        """The statement's own closing quote will end this one."""
        if self.late and text.count(" ") > _SPOKEN:
            return False
        if text[0] != self.quote or (self.selecting and " " in text) or not self.operand(t.OPEN_STRING):
            self.escaped = self.escaped or self.connected
            return False
        for left, _, _ in self.stack:
            if left < 0:
                self.compared(-left, t.OPEN_STRING)
        if self.score and self.connected:
            self.score += 1
        elif self.last[1] in ("or", "and", "||", "&&", "xor") and (len(text) < 3 or _COMPARED.fullmatch(text)):
            self.score += 2
        return True

    def variable(self, text: str, position: int) -> bool:
        if text.startswith("@@"):
            self.score += 1
        return self.operand(t.NUMBER if text.startswith("@") else t.WORD)

    def operand(self, kind: int) -> bool:
        self.fresh = self.selecting
        if not self.need:
            return self._alias(kind)
        self.need = False
        self.started = True
        if self.selecting:
            self.item(kind)
        if self.left < 0:
            self.compared(-self.left, kind)
            self.left = 0
        elif not self.left or (self.left == t.NUMBER and kind != t.NUMBER):
            self.left = kind if not self.left else t.CLOSE
        return True

    def _alias(self, kind: int) -> bool:
        allowed = kind == t.WORD and self.alias
        self.alias = self.last[1] in ("in", "boolean") and allowed
        return allowed

    def compared(self, left: int, right: int) -> None:
        constant = left != t.WORD and right != t.WORD and left != t.CLOSE and right != t.CLOSE
        if not self.connected and not self.stack and not self.escaped:
            self.formula = t.WORD not in (left, right)
        if constant and (self.connected or self.stack):
            asked = bool(self.stack) and not self.connected and self._asks(self.stack[-1][2])
            self.score += 0 if asked or (self.formula and not self.escaped) else 3
        elif self.connected and self.escaped:
            self.score += 2
        elif self.connected and not (self.statement or self.formula) and t.CLOSE in (left, right):
            self.score += 0 if self.stack and self.stack[0][2] == "if" else 1

    def _asks(self, name: str) -> bool:
        """Whether what compares constants in the brackets of `name` is a program that nobody injects."""
        return (name == "if" and "," not in self.text) or (self.bare and name != "" and name not in w.FUNCTIONS)

    def item(self, kind: int) -> None:
        """The first thing selected: a constant, a star or a call is no prose."""
        self.selecting = False
        if kind != t.WORD:
            self.selected()

    def selected(self) -> None:
        if self.union:
            self.score += 1 if self.statement else 3
        elif (self.stack and not self.statement) or self.escaped:
            self.score += 2

    # Brackets, commas, statements

    def open(self, text: str, position: int) -> bool:
        if self.need:
            self.stack.append((self.left, self.connected, ""))
            if self.selecting:
                self.item(t.OPEN)
        elif self.last[0] == t.WORD:
            self._called(self.last[1], position)
        elif self.last[0] not in (t.CLOSE, 0) and not self.text.startswith("(select", position):
            return False
        else:
            self.stack.append((self.left, self.connected, ""))
        self.left, self.need, self.alias = 0, True, False
        return len(self.stack) < 40

    def _called(self, name: str, position: int) -> None:
        name = name.strip("`")
        strong = self.escaped or self.connected or self.union or bool(self.stack)
        if self.fresh:
            self.selected()
        if name in w.SLOW or name in w.LEAKING:
            self.score += 3 if strong or _ADDED.search(self.text, max(0, position - 60), position) else 1
        elif name in w.BUILDING and not self.escaped and (self.statement or self._asks(name)):
            pass
        elif name in w.BUILDING:
            self.score += 2 if (self.escaped or (self.connected and not self.formula)) and self.score < 2 else 1
        elif self.escaped and self.connected:
            self.score += 1
        self.stack.append((-t.CLOSE if self.left < 0 else t.CLOSE, self.connected, name))
        self.left = 0

    def close(self, text: str, position: int) -> bool:
        if self.need and self.last[0] not in (0, t.OPEN):
            return False
        self.alias, self.selecting = True, False
        if not self.stack:
            self.escaped = self.escaped or self.started
            self.need, self.left, self.started = False, 0, True
            return True
        left, self.connected, name = self.stack.pop()
        self.need = False
        inside = self.left if self.left > 0 and not name else t.CLOSE
        if left < 0:
            self.compared(-left, inside)
        self.left = inside
        return True

    def comma(self, text: str, position: int) -> bool:
        if self.need:
            return False
        if self.selecting or (self.last[0] == t.WORD and self.union and self.score < 3):
            self.selected()
        self.selecting, self.left, self.need, self.alias = False, 0, True, False
        return True

    def semicolon(self, text: str, position: int) -> bool:
        rest = self.text[position + 1 : position + 300].lstrip()
        if not self.started and not w.STATEMENT.match(rest):
            return False
        self.stack.clear()
        self.left, self.need, self.connected, self.selecting = 0, True, False, False
        if w.STATEMENT.match(rest):
            return self.certain()
        if rest.lstrip("(").startswith("select") or (rest.startswith("iif") and "=" in rest):
            self.escaped, self.statement = True, False
        self.last = (t.SEMICOLON, text)
        return not rest or self.score > 0 or self.escaped

    def comment(self, text: str, position: int) -> bool:
        """A comment that cuts the statement off behind the value."""
        ends = position + len(text) >= len(self.text)
        empty = _NOTHING_AFTER.fullmatch(text) is not None
        if ends and (empty or (self.score and (self.escaped or self.connected or self.union))):
            self.score += 1 if self.score or self.bare else 3
        elif ends:
            return False
        return not self.need or not ends

    def operator(self, text: str, position: int) -> bool:
        if text in ("&&", "||") and not self.need:
            self.connected = True
            self.left, self.need = 0, True
            return True
        if self.need:
            return self._prefix(text)
        self.need, self.alias = True, False
        if text in w.COMPARISONS:
            self.left = -self.left if self.left > 0 else self.left
        elif text == "::":  # a type is named next
            self.need, self.alias = False, True
        elif not (self.left < 0 or self.left == t.NUMBER):
            self.left = t.CLOSE
        return True

    def _prefix(self, text: str) -> bool:
        if text == "*" and (self.selecting or self.last[0] == t.OPEN):
            if self.selecting:
                self.item(t.NUMBER)
            self.need = False
            return True
        return text in "+-~!" or self.last[1] in w.COMPARISONS or (text == "%" and not self.started)

    def other(self, text: str, position: int) -> bool:
        return text == "\\" and position == 0

    def certain(self) -> bool:
        """Evidence that stands whatever follows."""
        self.score += 3
        self.escaped = self.need = True
        return True
