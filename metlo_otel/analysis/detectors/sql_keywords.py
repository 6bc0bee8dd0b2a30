"""What each keyword of SQL does to the reading of a value: which operand may follow, and what it gives
away."""

# ruff: noqa: ARG001 - all handlers of words have one signature
from __future__ import annotations

import re
from collections.abc import Mapping

from metlo_otel.analysis.detectors import sql_tokens as t
from metlo_otel.analysis.detectors import sql_words as w
from metlo_otel.analysis.detectors.sql_reading import Reading, Step

_MODE = re.compile(r"\s+(?:boolean|natural)\s")
_FILE = re.compile(r"\s*(?:outfile|dumpfile)\b")
_BY = re.compile(r"\s+by\s+(\d+|null\b|\()?")
_ANALYSE = re.compile(r"\s*analyse\s*\(")
_DELAY = re.compile(r"\s+(?:delay|time)\s*['\"@\d]")


def word(reading: Reading, text: str, position: int) -> bool:
    handler = _HANDLERS.get(text)
    if handler is not None:
        return handler(reading, text, position)
    if reading.last[1] == "as":
        reading.alias = False
        return True
    listed = reading.last[1] in ("from", "join", "into") or (
        reading.last[1] == "," and "from" in reading.text[:position]
    )
    if listed and w.SYSTEM_TABLE.match(text):
        reading.score += 2
    table = reading.need and listed
    fine = reading.operand(t.WORD)
    reading.alias = reading.alias or table
    return fine


def connect(reading: Reading, text: str, position: int) -> bool:
    if reading.need and reading.started and text not in ("when", "if"):
        return False
    if text == "if" or (text == "on" and not reading.statement):
        return reading.operand(t.WORD)
    reading.connected = reading.connected or text != "when"
    reading.started, reading.need, reading.left, reading.alias = True, True, 0, False
    return True


def compare(reading: Reading, text: str, position: int) -> bool:
    if reading.need:
        return reading.last[1] == "not" or reading.operand(t.WORD)
    if text in ("rlike", "regexp", "glob"):
        reading.connected = True
    reading.left = -reading.left if reading.left > 0 else 0
    reading.need, reading.alias = True, False
    return True


def arithmetic(reading: Reading, text: str, position: int) -> bool:
    if reading.need:
        return reading.operand(t.WORD)
    if text == "in" and reading.escaped and reading.connected and reading.left in (t.NUMBER, t.STRING):
        reading.score += 2
    reading.need, reading.left, reading.alias = True, 0, False
    if text == "in" and _MODE.match(reading.text, position + 2):
        reading.need, reading.alias = False, True
    return True


def unary(reading: Reading, text: str, position: int) -> bool:
    if text in ("then", "else") and not reading.need:
        reading.need, reading.left = True, 0
        return True
    if text == "not" and not reading.need:
        return True
    return reading.need


def literal(reading: Reading, text: str, position: int) -> bool:
    return reading.operand(t.NUMBER)


def union_of(reading: Reading, text: str, position: int) -> bool:
    rest = reading.text[position + len(text) : position + 60].lstrip(" (\t\r\n")
    reading.union = rest.startswith(("select", "all", "distinct", "values"))
    reading.need, reading.left, reading.alias, reading.started = True, 0, False, True
    return reading.union


def select(reading: Reading, text: str, position: int) -> bool:
    if not reading.need and reading.last[0] not in (t.SEMICOLON, t.CLOSE):
        return False
    reading.statement = reading.statement or not (reading.started or reading.stack)
    reading.started, reading.selecting, reading.need, reading.left, reading.alias = True, True, True, 0, False
    return True


def lists(reading: Reading, text: str, position: int) -> bool:
    if reading.need:
        return reading.operand(t.WORD)
    if text == "into" and _FILE.match(reading.text, position + 4):
        return reading.certain()
    if text == "from" and (reading.stack or reading.escaped) and not reading.statement:
        reading.score += 1
    reading.need, reading.left, reading.alias = True, 0, False
    return True


def ordered(reading: Reading, text: str, position: int) -> bool:
    """ORDER BY and GROUP BY: a column's number is what somebody gives who counts columns."""
    found = _BY.match(reading.text, position + 5)
    if found is None or (reading.need and reading.started):
        return reading.operand(t.WORD)
    if found[1] and not reading.statement:
        reading.score += 1 if reading.bare and not reading.escaped and reading.last[0] != t.NUMBER else 3
    reading.started, reading.need, reading.left, reading.alias = True, False, 0, False
    return True


def by(reading: Reading, text: str, position: int) -> bool:
    if reading.last[1] not in ("order", "group", "partition"):
        return reading.operand(t.WORD)
    reading.need = True
    return True


def limit(reading: Reading, text: str, position: int) -> bool:
    if reading.need:
        return reading.operand(t.WORD)
    reading.need, reading.left, reading.alias = True, 0, False
    return True


def procedure(reading: Reading, text: str, position: int) -> bool:
    if not _ANALYSE.match(reading.text, position + 9):
        return reading.operand(t.WORD)
    return reading.certain()


def statement_word(reading: Reading, text: str, position: int) -> bool:
    if reading.last[0] == t.SEMICOLON:
        return True
    first = not reading.started or not reading.last[0]
    if first and text in ("exec", "waitfor", "declare") and w.STATEMENT.match(reading.text, position):
        return reading.text[position + 4 : position + 5] != "(" and reading.certain()
    if text == "waitfor" and _DELAY.match(reading.text, position + 7):
        return reading.certain()
    return reading.operand(t.WORD)


def as_name(reading: Reading, text: str, position: int) -> bool:
    reading.need = reading.need and reading.started
    return not reading.need


def end(reading: Reading, text: str, position: int) -> bool:
    if reading.last[0] == t.SEMICOLON:
        return True
    reading.alias = True
    return not reading.need


def direction(reading: Reading, text: str, position: int) -> bool:
    return not reading.need or reading.operand(t.WORD)


_HANDLERS = {
    **dict.fromkeys(w.CONNECT, connect),
    **dict.fromkeys(w.COMPARE, compare),
    **dict.fromkeys(w.ARITHMETIC, arithmetic),
    **dict.fromkeys(w.UNARY, unary),
    **dict.fromkeys(w.LITERAL, literal),
    **dict.fromkeys(w.SETS, union_of),
    **dict.fromkeys(w.STATEMENTS - {"select"}, statement_word),
    **dict.fromkeys(w.LISTS, lists),
    **dict.fromkeys(("order", "group", "partition"), ordered),
    **dict.fromkeys(("limit", "offset", "fetch", "returning"), limit),
    **dict.fromkeys(("asc", "desc"), direction),
    "select": select,
    "by": by,
    "as": as_name,
    "end": end,
    "procedure": procedure,
}

STEPS: Mapping[int, Step] = {
    t.NUMBER: Reading.number,
    t.STRING: Reading.string,
    t.OPEN_STRING: Reading.open_string,
    t.OPEN: Reading.open,
    t.CLOSE: Reading.close,
    t.COMMA: Reading.comma,
    t.SEMICOLON: Reading.semicolon,
    t.OPERATOR: Reading.operator,
    t.COMMENT: Reading.comment,
    t.VARIABLE: Reading.variable,
    t.OTHER: Reading.other,
    t.WORD: word,
}
"""The step of each kind of token."""
