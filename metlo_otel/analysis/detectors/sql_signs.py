"""What a text must hold before it can be an SQL injection, by the evidence that a reading of it counts."""

from __future__ import annotations

import re

from metlo_otel.analysis.detectors import sql_words as w
from metlo_otel.analysis.detectors.telling import Signs, runs, telling

_SURE = frozenset("select union procedure exec execute waitfor declare outfile dumpfile".split())
_CALLED = runs((*w.SLOW, *w.LEAKING, *w.BUILDING))  # where a bracket stands as well
WORDS = _SURE | _CALLED
# What may stand behind the sign of a comment that cuts a statement off; so much of it tells by itself.
_NOTHING = r"[\s\-+#;*/%\x00'\")]{0,8}(?:[\s\-+#;*/%\x00'\")]{9}|&|$)"
SIGNS: Signs = (
    ("-", "-" + _NOTHING),
    ("#", _NOTHING),
    ("/", r"\*"),
    ("*", "/"),
    ("@", "@"),
    ("'\"", r"(?<!.{12}.)\s*(?:[-+*/^&|%=]|\|\||like|or|and|div|<>|!=|<=>)\s*(?:\d{1,3}\s*[-+*/^&|%=]\s*)?['\"]"),
    (";", r"\s*(?:" + w.STATEMENT_PATTERN + ")"),
    (",", r"\s*(?:" + w.SYSTEM_TABLE.pattern + ")"),
)
_PHRASE = re.compile(r"\b(?:order\s+by|group\s+by|waitfor\s|procedure\s|exec\s)|(?:\b|\d)union\s+(?:all\s+)?select")
_PHRASED = frozenset("from into join by union waitfor procedure exec execute null like rlike true false".split())
_JOINING_WORDS = w.CONNECT | {"from", "into", "join", "by", "union", "waitfor", "procedure", "exec"}
_TEST = re.compile(
    r"(?:or|and)\s+(?:not\s+)?(?:true|false|null|[\w.`]{1,30}\s+(?:is\s+(?:not\s+)?null|r?like\s+[\d.]+))\b"
)
_FROM_SYSTEM = re.compile(rf"(?:from|into|join)\s+(?:{w.SYSTEM_TABLE.pattern})")
_QUOTES = ("'", '"')
_JOINING = ("and", "or", "||", "&&")
_JOINS = re.compile(r"and|or|having|where|when|on|if|\|\||&&")
_CALLS = re.compile(r"[\w`\]]\s*\(")
_CONSTANTS = re.compile(r"['\")\d]\s*[=<>!]+\s*(?:[(+~@-][(+~!@-]*)?['\"\d]")  # with a sign that compares them
_told = telling(_SURE, SIGNS)


def tells(lower: str, words: list[str]) -> bool:
    """Whether anything might be found."""
    if _told(lower, words) or speaks(lower, words):
        return True
    return "(" in lower and not _CALLED.isdisjoint(words)


def speaks(lower: str, words: list[str]) -> bool:
    """Whether anything but the known words and signs tells: a comparison, a table, a phrase."""
    if _JOINING_WORDS.isdisjoint(words) and "(" not in lower and "||" not in lower and "&&" not in lower:
        return False
    if compares(lower, words):
        return True
    return not _PHRASED.isdisjoint(words) and (names_table(lower) or has_phrase(lower))


def compares(lower: str, words: list[str]) -> bool:
    """Whether something is compared or called behind a word that joins, or constants are compared in brackets."""
    if w.CONNECT.isdisjoint(words) and "||" not in lower and "&&" not in lower:
        if "(" not in lower or not _compared(lower, words):
            return False
        return _CONSTANTS.search(lower) is not None or _other_constants(lower, words)
    if _compared(lower, words) or _left_open(lower):
        return True
    joined = _JOINS.search(lower) if "(" in lower else None
    return joined is not None and _CALLS.search(lower, joined.end()) is not None


def _compared(lower: str, words: list[str]) -> bool:
    return "=" in lower or "<" in lower or ">" in lower or "!" in lower or not w.COMPARE.isdisjoint(words)


def _left_open(lower: str) -> bool:
    """Whether a text ends in a quote, or in one and another character, behind a word that joins."""
    last, before = lower[-1:], lower[-2:-1]
    return (last in _QUOTES and lower[:-1].rstrip().endswith(_JOINING)) or (
        before in _QUOTES and lower[:-2].rstrip().endswith(_JOINING)
    )


def _other_constants(lower: str, words: list[str]) -> bool:
    return "0x" in lower or "@" in lower or not (w.LITERAL.isdisjoint(words) and w.COMPARE.isdisjoint(words))


def names_table(lower: str) -> bool:
    """Whether a table of the system is named, or a comment stands behind any other."""
    if "from" in lower and ("--" in lower or "#" in lower):
        return True
    return ("from" in lower or "into" in lower or "join" in lower) and _FROM_SYSTEM.search(lower) is not None


def has_phrase(lower: str) -> bool:
    """Whether words stand together as only SQL has them."""
    if (
        "by" in lower or "union" in lower or "waitfor" in lower or "procedure" in lower or "exec" in lower
    ) and _PHRASE.search(lower) is not None:
        return True
    return tests(lower)


def tests(lower: str) -> bool:
    """Whether a condition without any sign stands behind a word that joins."""
    return ("null" in lower or "like" in lower or "true" in lower or "false" in lower) and _TEST.search(
        lower
    ) is not None
