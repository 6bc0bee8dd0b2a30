"""SQL injection: a value read where a statement would hold it, bare, in '…' and in "…", as far as it makes
sense as SQL.

The reading alternates between wanting an operand and wanting an operator, which is what tells SQL from
prose (prose puts words beside words). On its way it collects evidence that somebody wanted to change the
statement: comparisons of constants, unions, sub-selects, second statements, functions that wait or leak, a
comment that cuts the rest off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Confidence, Finding, high, low
from metlo_otel.analysis.detectors.sql_facts import BARE, GOES_ON, LEFT, strongest
from metlo_otel.analysis.detectors.sql_keywords import STEPS
from metlo_otel.analysis.detectors.sql_reading import ENOUGH, Reading
from metlo_otel.analysis.detectors.sql_sentences import sentence
from metlo_otel.analysis.detectors.sql_tokens import folded, without_comments
from metlo_otel.analysis.detectors.sql_words import ODD_STATEMENT

MARKS = frozenset("'\"`();=<>#*")
_UNION = re.compile(r"\bunion\b")

_LOW = 2
_PROSE = 2  # words before a quote, after which prose behind it makes it a mention
_LEFT = ("'", '"', "`", "$$", "]", "*/", ";")  # what a value ends before it goes on as SQL
_ESCAPED = re.compile(r"\\+(['\"])")
_HIDDEN_UNION = re.compile("U!?A?S")
_SELECTS = re.compile(r"\s*select\b")
_FEW = 1  # blanks before a quote behind which constructs are looked for
_WORDS = (
    "and|or|xor|union|having|where|order|group|limit|like|rlike|regexp|between|in|is|not|as|procedure|waitfor|into"
    "|intersect|except|minus|div|mod|collate|offset|if|on|asc|desc"
)
_GOES_ON = re.compile(rf"\s*(?:[^\w\s]|(?:{_WORDS}|\d+)(?!\w)|$)|(?:x?or|and|union|like)['\"(\d]|exec(?:ute)?\s+\w")
_READS_ON = re.compile(
    rf"[\s\-+~!@]*(?:[\w.$@]+\s*(?:[^\w\s.:'\"?]|(?:{_WORDS}|by|select|all|delay|exec\w*)\b|$)"
    rf"|[^\w\s]|(?:{_WORDS}|exec|select|declare|case)\b|[a-z_.]+\(|\d+['\"]?[a-z])"
)
_LONE_OPERATOR = re.compile(
    r"\s*(['\"])\s*(?:[-+*/^&|%=]|\|\||&&|like|or|and|div)\s*(?:\d{1,3}\s*[-+*/^&|%=]\s*)?\1\s*\d?\s*"
    r"|(\w{0,12})(['\"])\s*(?:=|<=>|like)\s*\3\2"
)
_PUZZLE = 24  # characters of nothing but quotes and operators
_OPERATOR = r"(?:[-+*/^&|%=<>!]{1,3}|x?or|and|r?like|div|mod|regexp)"
_OPERATORS = re.compile(
    rf"['\"]\s*{_OPERATOR}\s*['\"](?:[\s'\"]*{_OPERATOR})*[\s'\"]*[a-z\d.%]?['\"]?"
)  # nothing but quotes and operators
_CUT_OFF = re.compile(r"[\s)]*(?:--|#|/\*)[\s\-+#;*/%\x00)'\"]*")
_NAMED = re.compile(r"[\w@.+\- %]{0,64}\)*")  # what is left by a quote, the rest cut off: a name or number
_QUOTED = re.compile(r"[a-z]{2,4}['\"]")
_VARIABLE = re.compile(
    r"\s*@@(?:global\.|session\.)?(?:version|hostname|datadir|basedir|servername|language)\w{0,20}\s*"
)
_APOSTROPHE = re.compile(r"[a-z]'[a-z]{2}")
_SPLIT_WORD = re.compile(r"(?<=[a-z])/\*[^*]{0,20}\*/(?=[a-z])")


def find(text: str, lower: str, _words: list[str]) -> Iterator[Finding]:
    """At most one finding, from the context in which the text makes the strongest case."""
    plain = folded(lower)
    best, fragment = _strongest(text, plain)
    fact: Confidence | None = "high" if best >= ENOUGH else _fact(plain)
    if best < ENOUGH and fact != "high" and (other := _rewritten(plain)):
        best = max(best, _strongest(text, other)[0])
        fact = "high" if best >= ENOUGH else _fact(other) or fact
    if fact is not None:
        yield (high if fact == "high" else low)("SQLI", fragment.strip() or text.strip())
    elif (
        best >= _LOW
        or _LONE_OPERATOR.fullmatch(plain)
        or (len(plain) <= _PUZZLE and _OPERATORS.fullmatch(plain))
        or _VARIABLE.fullmatch(plain)
    ):
        yield low("SQLI", fragment.strip() or text)


def _rewritten(lower: str) -> str:
    """The text with comments inside words gone, quotes that were escaped or doubled as they were; else nothing."""
    if "/*" in lower and _SPLIT_WORD.search(lower):
        return _SPLIT_WORD.sub("", lower)
    if "\\'" in lower or '\\"' in lower:
        return _ESCAPED.sub(r"\1", lower)
    return lower.replace('""', '"') if lower.count('""') > 1 else ""


def _strongest(text: str, lower: str) -> tuple[int, str]:
    """The strongest evidence of all contexts, and the fragment that gave it."""
    best, fragment = _LOW - 1, ""
    for start, quote in _contexts(lower):
        reading = Reading(lower[start:], quote, late=lower.count(" ", 0, start) > _PROSE)
        score = reading.read(STEPS)
        if score >= ENOUGH and _CUT_OFF.fullmatch(lower, start) and not _NAMED.fullmatch(lower, 0, max(start - 1, 0)):
            score = _LOW  # signs as a password has them
        if score > best and not (reading.broke and reading.late):
            best = score
            fragment = text[max(0, start - 1) : start + reading.reached]
        if best >= ENOUGH:
            break
    return best, fragment


def _fact(lower: str) -> Confidence | None:
    """How sure a construct makes it, in the value read bare or behind what it leaves."""
    plain = without_comments(lower) if "/*" in lower or "*/" in lower else lower
    if ODD_STATEMENT.match(plain.lstrip(" ;\n")):
        return "high"
    bare = sentence(plain)
    if "/*!" in lower and _HIDDEN_UNION.search(bare):
        return "high"
    best = strongest(bare, BARE)
    if best != "high" and plain[:1].isspace():
        best = strongest(bare, GOES_ON) or best
    for rest in _left(plain) if best != "high" else ():
        best = strongest(sentence(rest), LEFT) or best
        if best == "high":
            break
    return best


def _left(lower: str) -> Iterator[str]:
    """What goes on as SQL behind each sign that may end what the value began in."""
    for sign in _LEFT:
        start = lower.find(sign, 0, 80) + len(sign)
        goes_on = _SELECTS if sign == ";" else _GOES_ON
        if start >= len(sign) and lower.count(" ", 0, start) <= _FEW and goes_on.match(lower, start):
            yield (lower[start:].rpartition("[")[0] if sign == "]" else "") or lower[start:]


def _contexts(lower: str) -> Iterator[tuple[int, str]]:
    """Where a statement that holds the value would go on after its data, and which quote it had opened."""
    for quote in "'\"":
        position = _leaving(lower, quote)
        if position and _GOES_ON.match(lower, position) and not _quotes(lower, position):
            yield position, quote
    position = lower.find("`", 0, 60) + 1
    if position and "(" not in lower[position - 2 : position] and _GOES_ON.match(lower, position):
        yield position, "`"
    if _READS_ON.match(lower):
        yield 0, ""
    union = _UNION.search(lower, 1) if "union" in lower and not lower.startswith("select") else None
    if union:
        yield union.start(), ""


def _quotes(lower: str, position: int) -> bool:
    """Whether a text ends in a word in quotes, as people quote one: what does "or" mean."""
    return position > 1 and lower[position - 2] == " " and _QUOTED.fullmatch(lower, position) is not None


def _leaving(lower: str, quote: str) -> int:
    """The place behind the first quote that is no name's apostrophe (O'Brien); 0 where there is none."""
    position = lower.find(quote) + 1
    if position > 1 and _APOSTROPHE.match(lower, position - 2) and not _GOES_ON.match(lower, position):
        return lower.find(quote, position) + 1
    return position
