"""NoSQL injection: operators where a name or a plain value was expected, and JavaScript for MongoDB's
`$where`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low

MARKS = frozenset("$;{|&")

_OPERATORS = (
    "ne|gt|gte|lt|lte|eq|in|nin|not|nor|regex|where|exists|expr|elemmatch|mod|all|function|accumulator"
    "|jsonschema|lookup|unionwith|rand|or|and|comment|text|size|type|options"
)
_CERTAIN = frozenset(
    [
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "nin",
        "regex",
        "where",
        "function",
        "accumulator",
        "expr",
        "exists",
        "nor",
        "elemmatch",
    ]
)
_IN_NAME = re.compile(rf"(?:^|[\[.])\$({_OPERATORS})(?=[\].\[]|$)")
_IN_VALUE = re.compile(rf"(?:^|[{{,\[])\s{{0,8}}[\"']?\$({_OPERATORS})[\"']?\s{{0,8}}[:\]]")
_BRACKETS = re.compile(rf"\[\$({_OPERATORS})\]\s{{0,3}}=")
_LOGIC = re.compile(
    r"['\"]\s{0,4}(?:\|\||&&)\s{0,4}(?:['\"]?\w{0,12}['\"]?\s{0,3}={2,3}\s{0,3}['\"]?\w{0,12}|this\."
    r"|true\b|1\b|!|\()"
    r"|[;,]\s{0,4}(?:return\b|sleep\s{0,3}\(|while\s{0,3}\(|db\.|this\."
    r"|var\s+\w{1,20}\s{0,3}=\s{0,3}new\s+date)"
    r"|\breturn\s+(?:true|1|this\.\w{1,30}\s{0,3}[!=]=)|\bthis\.\w{1,30}\.(?:match|length|test)\b"
    r"|['\"]\s{0,4}\|\|\s{0,4}this\.\w"
    r"|\bdb\.(?:\w{1,30}\.(?:find|insert|drop|remove|update|stats)|getcollection|injection|version"
    r"|gethostname)|object\.keys\(this\)"
)
_DELAY = re.compile(r"(?:\bnew\s+date\(\)|\bsleep\(\d{2,6}\)).{0,120}(?:while|return|\|\|)|do\s?\{.{0,80}\}while")


def find_in_name(name: str, lower: str) -> Iterator[Finding]:
    """An operator in a parameter's or key's name: `user[$ne]`, `filter.$where`."""
    match = _IN_NAME.search(lower)
    if match is not None and "$" in lower:
        yield (high if match[1] in _CERTAIN else low)("NOSQLI", name)


def find(text: str, lower: str) -> Iterator[Finding]:
    """An operator in a value that holds a piece of JSON, or a condition that leaves a JavaScript string."""
    match = (_IN_VALUE.search(lower) or _BRACKETS.search(lower)) if "$" in lower else None
    if match is not None:
        if match[1] in _CERTAIN:
            yield high("NOSQLI", text[match.start() :])
        elif match.start() < 2:
            yield low("NOSQLI", text[match.start() :])
        return
    if not any(sign in lower for sign in ("||", "&&", "this", "db.", "return", "sleep", "while", "new date")):
        return
    match = _LOGIC.search(lower)
    if (
        match is not None
        and ("'" in lower or '"' in lower or ";" in lower or "this." in lower)
        and lower.count("\n") < 3
    ):
        opens = lower[: match.start() + 1].count("'") % 2 or lower[: match.start() + 1].count('"') % 2
        if opens or _DELAY.search(lower):
            yield low("NOSQLI", text[match.start() :])
