"""SQL injection: a value read where a statement would hold it, bare, in '…' and in "…", as far as it makes sense as SQL.

The reading alternates between wanting an operand and wanting an operator, which is what tells SQL from prose (prose
puts words beside words). On its way it collects evidence that somebody wanted to change the statement: comparisons of
constants, unions, sub-selects, second statements, functions that wait or leak, a comment that cuts the rest off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors import sql_tokens as t
from metlo_otel.analysis.detectors import sql_words as w
from metlo_otel.analysis.detectors.finding import Finding, high, low

MARKS = frozenset("'\"`();=<>#*")
_WORDS = re.compile(r"\b(?:union|order\s+by|group\s+by|having|procedure|waitfor|select|like|rlike|sleep|or|and)\b")
_UNION = re.compile(r"\bunion\b")

_LIMIT = 160  # tokens read in one context
_HIGH, _LOW = 3, 2
_LONE_OPERATOR = re.compile(r"\s*(['\"])\s*(?:[-+*/^&|%=]|\|\||&&|like|or|and|div)\s*\1\s*")
_NOTHING_AFTER = re.compile(r"(?:--|#|/\*)[\s\-+#;*/%\x00]*")


def find(text: str, lower: str) -> Iterator[Finding]:
    """At most one finding, from the context in which the text makes the strongest case."""
    best = _LOW - 1
    for start, quote in _contexts(lower):
        reading = _Reading(lower[start:], quote)
        score = reading.read()
        if score > best:
            best = score
            fragment = text[max(0, start - 1) : start + reading.reached]
        if best >= _HIGH:
            break
    if best < _LOW and _LONE_OPERATOR.fullmatch(lower):
        yield low("SQLI", text)
    if best >= _LOW:
        yield (high if best >= _HIGH else low)("SQLI", fragment.strip())


def _contexts(lower: str) -> Iterator[tuple[int, str]]:
    """Where a statement that holds the value would go on after its data, and which quote it had opened."""
    for quote in "'\"":
        position = lower.find(quote)
        if position >= 0:
            yield position + 1, quote
    yield 0, ""
    union = _UNION.search(lower, 1)
    if union:
        yield union.start(), ""


class _Reading:
    """One walk over the tokens of one context."""

    __slots__ = (
        "alias", "bare", "call", "connected", "escaped", "last", "left", "need", "quote", "reached", "score",
        "selecting", "stack", "started", "statement", "text", "union",
    )  # fmt: skip

    def __init__(self, text: str, quote: str) -> None:
        self.text = t.without_comments(text)
        self.quote = quote
        self.bare = not quote
        self.escaped = bool(quote)
        self.need = not quote
        self.started = bool(quote)
        self.score = 0
        self.reached = 0
        self.left = 0  # kind of the operand on the left of a comparison; 0 where there is none
        self.connected = False
        self.selecting = False
        self.union = False
        self.statement = False
        self.alias = False
        self.call = ""
        self.last = (0, "")
        self.stack: list[tuple[int, bool, str]] = []

    def read(self) -> int:
        """Walk until the text ends or stops making sense; the evidence found as a number."""
        for kind, text, position in t.tokens(self.text, _LIMIT):
            self.reached = position + len(text)
            if not _HANDLERS[kind](self, text, position):
                return self._broken()
            self.last = (kind, text)
            if self.score > 4:
                break
        return self.score

    def _broken(self) -> int:
        """What the evidence is worth where prose follows: nothing but the strongest, unless a quote was left before."""
        return self.score if self.escaped else self.score - 2

    # Operands

    def number(self, text: str, position: int) -> bool:
        return self._operand(t.NUMBER)

    def string(self, text: str, position: int) -> bool:
        return self._operand(t.STRING)

    def open_string(self, text: str, position: int) -> bool:
        """The statement's own closing quote will end this one."""
        if text[0] != self.quote or not self._operand(t.OPEN_STRING):
            self.escaped = self.escaped or self.connected
            return False
        for left, _, _ in self.stack:
            if left < 0:
                self._compared(-left, t.OPEN_STRING)
        if self.score and self.connected:
            self.score += 1
        elif self.last[1] in ("or", "and", "||", "&&", "xor") and len(text) < 3:
            self.score += 2
        return True

    def variable(self, text: str, position: int) -> bool:
        if text.startswith("@@"):
            self.score += 1
        return self._operand(t.NUMBER if text.startswith("@") else t.WORD)

    def _operand(self, kind: int) -> bool:
        if not self.need:
            return self._alias(kind)
        self.need = False
        self.started = True
        if self.selecting:
            self._item(kind)
        if self.left < 0:
            self._compared(-self.left, kind)
            self.left = 0
        elif not self.left:
            self.left = kind
        return True

    def _alias(self, kind: int) -> bool:
        allowed = kind == t.WORD and self.alias
        self.alias = self.last[1] in ("in", "boolean") and allowed
        return allowed

    def _compared(self, left: int, right: int) -> None:
        constant = left != t.WORD and right != t.WORD and left != t.CLOSE and right != t.CLOSE
        if constant and (self.connected or self.stack):
            self.score += 3
        elif self.connected and self.escaped:
            self.score += 2
        elif self.connected and not self.statement and t.CLOSE in (left, right):
            self.score += 1

    def _item(self, kind: int) -> None:
        """The first thing selected: a constant, a star or a call is no prose."""
        self.selecting = False
        if kind != t.WORD:
            self._selected()

    def _selected(self) -> None:
        if self.union:
            self.score += 3
        elif self.stack or self.escaped:
            self.score += 2

    # Brackets, commas, statements

    def open(self, text: str, position: int) -> bool:
        if self.need:
            self.stack.append((self.left, self.connected, ""))
            if self.selecting:
                self._item(t.OPEN)
        elif self.last[0] == t.WORD:
            self._called(self.last[1])
        elif self.last[0] not in (t.CLOSE, 0) and not self.text.startswith("(select", position):
            return False
        else:
            self.stack.append((self.left, self.connected, ""))
        self.left, self.need, self.alias = 0, True, False
        return len(self.stack) < 40

    def _called(self, name: str) -> None:
        name = name.strip("`")
        strong = self.escaped or self.connected or bool(self.stack)
        if name in w.SLOW or name in w.LEAKING:
            self.score += 3 if strong else 1
        elif name in w.BUILDING:
            self.score += 2 if (self.escaped or self.connected) and self.score < 2 else 1
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
        if left < 0:
            self._compared(-left, t.CLOSE)
        self.left = self.left if self.left > 0 and not name else t.CLOSE
        return True

    def comma(self, text: str, position: int) -> bool:
        if self.need:
            return False
        if self.selecting or (self.last[0] == t.WORD and self.union and self.score < 3):
            self._selected()
        self.selecting, self.left, self.need, self.alias = False, 0, True, False
        return True

    def semicolon(self, text: str, position: int) -> bool:
        rest = self.text[position + 1 : position + 300].lstrip()
        if not self.started and not rest.startswith(("exec", "declare", "drop", "waitfor", "shutdown", "insert")):
            return False
        self.stack.clear()
        self.left, self.need, self.connected, self.selecting = 0, True, False, False
        if w.STATEMENT.match(rest):
            return self._certain()
        if rest.lstrip("(").startswith("select") or (rest.startswith("if") and "=" in rest):
            self.escaped, self.statement = True, False
        self.last = (t.SEMICOLON, text)
        return not rest or self.score > 0 or self.escaped

    def comment(self, text: str, position: int) -> bool:
        """A comment that cuts the statement off behind the value."""
        ends = position + len(text) >= len(self.text)
        empty = _NOTHING_AFTER.fullmatch(text) is not None
        if ends and (empty or self.score):
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
        else:
            self.left = t.CLOSE if not self.left < 0 else self.left
        return True

    def _prefix(self, text: str) -> bool:
        if text == "*" and (self.selecting or self.last[0] == t.OPEN):
            if self.selecting:
                self._item(t.NUMBER)
            self.need = False
            return True
        return text in "+-~!" or self.last[1] in w.COMPARISONS or (text == "%" and not self.started)

    def other(self, text: str, position: int) -> bool:
        return text == "\\" and position == 0

    # Words

    def word(self, text: str, position: int) -> bool:
        handler = _WORD_HANDLERS.get(text)
        if handler is not None:
            return handler(self, text, position)
        if self.last[1] == "as":
            self.alias = False
            return True
        if w.SYSTEM_TABLE.match(text) and self.last[1] in ("from", "join", ",", "into"):
            self.score += 2
        table = self.need and self.last[1] in ("from", "join", ",", "into")
        fine = self._operand(t.WORD)
        self.alias = self.alias or table
        return fine

    def connect(self, text: str, position: int) -> bool:
        if self.need and self.started and text not in ("when", "if"):
            return False
        if text == "if" or (text == "on" and not self.statement):
            return self._operand(t.WORD)
        self.connected = self.connected or text != "when"
        self.started, self.need, self.left, self.alias = True, True, 0, False
        return True

    def compare(self, text: str, position: int) -> bool:
        if self.need:
            return self.last[1] == "not" or self._operand(t.WORD)
        if text in ("rlike", "regexp", "glob") and self.escaped:
            self.connected = True
        self.left = -self.left if self.left > 0 else 0
        self.need, self.alias = True, False
        return True

    def arithmetic(self, text: str, position: int) -> bool:
        if self.need:
            return self._operand(t.WORD)
        self.need, self.left, self.alias = True, 0, False
        if text == "in" and re.match(r"\s+(?:boolean|natural)\s", self.text[position + 2 :]):
            self.need, self.alias = False, True
        return True

    def unary(self, text: str, position: int) -> bool:
        if text in ("then", "else") and not self.need:
            self.need, self.left = True, 0
            return True
        if text == "not" and not self.need:
            return True
        return self.need

    def literal(self, text: str, position: int) -> bool:
        return self._operand(t.NUMBER)

    def union_of(self, text: str, position: int) -> bool:
        rest = self.text[position + len(text) : position + 60].lstrip(" (\t\r\n")
        self.union = rest.startswith(("select", "all", "distinct", "values"))
        self.need, self.left, self.alias, self.started = True, 0, False, True
        return self.union

    def select(self, text: str, position: int) -> bool:
        if not self.need and self.last[0] not in (t.SEMICOLON, t.CLOSE):
            return False
        self.statement = self.statement or not self.started
        self.started, self.selecting, self.need, self.left, self.alias = True, True, True, 0, False
        return True

    def lists(self, text: str, position: int) -> bool:
        if self.need:
            return self._operand(t.WORD)
        if text == "into" and re.match(r"\s*(?:outfile|dumpfile)\b", self.text[position + 4 :]):
            return self._certain()
        if text == "from" and (self.stack or self.escaped) and not self.statement:
            self.score += 1
        self.need, self.left, self.alias = True, 0, False
        return True

    def ordered(self, text: str, position: int) -> bool:
        """ORDER BY and GROUP BY: a column's number is what somebody gives who counts columns."""
        found = re.match(r"\s+by\s+(\d+|null\b|\()?", self.text[position + 5 :])
        if found is None or (self.need and self.started):
            return self._operand(t.WORD)
        if found[1] and not self.statement:
            self.score += 1 if self.bare and not self.escaped and self.last[0] != t.NUMBER else 3
        self.started, self.need, self.left, self.alias = True, False, 0, False
        return True

    def by(self, text: str, position: int) -> bool:
        if self.last[1] not in ("order", "group", "partition"):
            return self._operand(t.WORD)
        self.need = True
        return True

    def limit(self, text: str, position: int) -> bool:
        if self.need:
            return self._operand(t.WORD)
        self.need, self.left, self.alias = True, 0, False
        return True

    def procedure(self, text: str, position: int) -> bool:
        if not re.match(r"\s*analyse\s*\(", self.text[position + 9 :]):
            return self._operand(t.WORD)
        return self._certain()

    def statement_word(self, text: str, position: int) -> bool:
        if self.last[0] == t.SEMICOLON:
            return True
        if not self.started and text in ("exec", "waitfor", "declare") and w.STATEMENT.match(self.text, position):
            return self._certain()
        if text == "waitfor" and re.match(r"\s+(?:delay|time)\s*['\"@\d]", self.text[position + 7 :]):
            return self._certain()
        return self._operand(t.WORD)

    def _certain(self) -> bool:
        """Evidence that stands whatever follows."""
        self.score += 3
        self.escaped = self.need = True
        return True

    def as_name(self, text: str, position: int) -> bool:
        self.need = self.need and self.started
        return not self.need

    def end(self, text: str, position: int) -> bool:
        if self.last[0] == t.SEMICOLON:
            return True
        self.alias = True
        return not self.need

    def direction(self, text: str, position: int) -> bool:
        return not self.need or self._operand(t.WORD)


_HANDLERS = {
    t.NUMBER: _Reading.number,
    t.STRING: _Reading.string,
    t.OPEN_STRING: _Reading.open_string,
    t.WORD: _Reading.word,
    t.OPEN: _Reading.open,
    t.CLOSE: _Reading.close,
    t.COMMA: _Reading.comma,
    t.SEMICOLON: _Reading.semicolon,
    t.OPERATOR: _Reading.operator,
    t.COMMENT: _Reading.comment,
    t.VARIABLE: _Reading.variable,
    t.OTHER: _Reading.other,
}

_WORD_HANDLERS = {
    **dict.fromkeys(w.CONNECT, _Reading.connect),
    **dict.fromkeys(w.COMPARE, _Reading.compare),
    **dict.fromkeys(w.ARITHMETIC, _Reading.arithmetic),
    **dict.fromkeys(w.UNARY, _Reading.unary),
    **dict.fromkeys(w.LITERAL, _Reading.literal),
    **dict.fromkeys(w.SETS, _Reading.union_of),
    **dict.fromkeys(w.STATEMENTS - {"select"}, _Reading.statement_word),
    **dict.fromkeys(w.LISTS, _Reading.lists),
    **dict.fromkeys(("order", "group", "partition"), _Reading.ordered),
    **dict.fromkeys(("limit", "offset", "fetch", "returning"), _Reading.limit),
    **dict.fromkeys(("asc", "desc"), _Reading.direction),
    "select": _Reading.select,
    "by": _Reading.by,
    "as": _Reading.as_name,
    "end": _Reading.end,
    "procedure": _Reading.procedure,
}
