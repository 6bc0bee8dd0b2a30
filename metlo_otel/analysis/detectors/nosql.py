"""NoSQL injection: operators where a name or a plain value was expected, and JavaScript for MongoDB's
`$where`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.telling import Signs, pattern, telling

MARKS = frozenset("$;{|&")
WORDS = frozenset({"return", "sleep", "while", "this", "db"})
SIGNS: Signs = (("$", "[a-z]"), ("|", r"\|"), ("&", "&"), (";,", r"\s{0,4}var\s"))

_OPERATORS = (
    "ne|gt|gte|lt|lte|eq|in|nin|not|nor|func|regex|where|exists|expr|elemmatch|mod|all|function|accumulator"
    "|jsonschema|lookup|unionwith|rand|or|and|comment|text|size|type|options"
)
_CERTAIN = frozenset(
    [
        "ne",
        "nin",
        "regex",
        "where",
        "function",
        "accumulator",
        "expr",
        "exists",
        "nor",
        "elemmatch",
        "func",
        "lookup",
        "unionwith",
    ]
)
_RANGES = frozenset({"gt", "gte", "lt", "lte"})  # what honest filters say as well, of numbers and dates
_LIMIT = re.compile(r"=?\s{0,8}[\"']?-?\d")
_IN_NAME = re.compile(rf"(?:^|[\[.])\$({_OPERATORS})(?=[\].\[]|$)")
_IN_VALUE = re.compile(rf"(?:^|[{{,\[])\s{{0,8}}[\"']?\$({_OPERATORS})[\"']?\s{{0,8}}[:\]]")
_BRACKETS = re.compile(rf"\[\$({_OPERATORS})\]\s{{0,3}}=")
_LOGIC = pattern(
    (
        (
            "'\"",
            r"\s{0,4}(?:\|\||&&)\s{0,4}(?:['\"]?\w{0,12}['\"]?\s{0,3}={2,3}\s{0,3}['\"]?\w{0,12}|this\.|true\b|1\b|!|\()",
        ),
        (
            ";,",
            r"\s{0,4}(?:return\b|sleep\s{0,3}\(|while\s{0,3}\(|db\.|this\.|var\s+\w{1,20}\s{0,3}=\s{0,3}new\s+date)",
        ),
        ("r", r"(?<!\wr)eturn\s+(?:true|1|this\.\w{1,30}\s{0,3}[!=]=)"),
        ("t", r"(?<!\wt)his\.\w{1,30}\.(?:match|length|test)\b"),
        ("'\"", r"\s{0,4}\|\|\s{0,4}this\.\w"),
        (
            "d",
            r"(?<!\wd)b\.(?:\w{1,30}\.(?:find|insert|drop|remove|update|stats)|getcollection|injection|version|gethostname)",
        ),
        ("o", r"bject\.keys\(this\)"),
    )
)
_DELAY = re.compile(r"(?:\bnew\s+date\(\)|\bsleep\(\d{2,6}\)).{0,120}(?:while|return|\|\|)|do\s?\{.{0,80}\}while")


tells = telling(WORDS, SIGNS)


def find_in_name(name: str, lower: str) -> Iterator[Finding]:
    """An operator in a parameter's or key's name: `user[$ne]`, `filter.$where`."""
    match = _IN_NAME.search(lower)
    if match is not None and "$" in lower:
        yield (high if match[1] in _CERTAIN else low)("NOSQLI", name)


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """An operator in a value that holds a piece of JSON, or a condition that leaves a JavaScript string."""
    found = [*_IN_VALUE.finditer(lower), *_BRACKETS.finditer(lower)] if "$" in lower else []
    matches = [match for match in found if not (match[1] in _RANGES and _LIMIT.match(lower, match.end()))]
    if matches:
        match = next((each for each in matches if each[1] in _CERTAIN | _RANGES), matches[0])
        if match[1] in _CERTAIN | _RANGES:
            yield high("NOSQLI", text[match.start() :])
        elif match.start() < 2:
            yield low("NOSQLI", text[match.start() :])
    if found:
        return
    logic = _LOGIC.search(lower)
    if (
        logic is not None
        and ("'" in lower or '"' in lower or ";" in lower or "this." in lower)
        and lower.count("\n") < 3
    ):
        before = lower[: logic.start() + 1]
        if lower.startswith("db.") and logic.start() == 0:
            yield low("NOSQLI", text)
        elif before.count("'") % 2 or before.count('"') % 2 or before[:-1].isdigit() or _DELAY.search(lower):
            yield low("NOSQLI", text[logic.start() :])
