"""JavaScript as an attacker writes it: whether a text acts on the page, calls what shows, sends or
evaluates."""

from __future__ import annotations

import re

from metlo_otel.analysis.detectors.telling import Signs, telling, words

# What shows, sends, loads or evaluates once it is called.
_CALLED = (
    "alert",
    "prompt",
    "confirm",
    "eval",
    "settimeout",
    "setinterval",
    "setimmediate",
    "fetch",
    "import",
    "importscripts",
    "print",
    "msgbox",
    "execscript",
    "geturl",
    "atob",
    "btoa",
    "xmlhttprequest",
    "postmessage",
    "sendbeacon",
    "open",
    "write",
    "writeln",
    "appendchild",
    "insertadjacenthtml",
    "constructor",
    "fromcharcode",
    "$.get",
    "$.getscript",
    "$.getjson",
    "function",
)
_BORROWED = (".call", ".apply", ".bind")
_CALLS = 24  # brackets looked at

_PAGE = frozenset(
    "document window self top parent frames globalthis this location opener navigation cookiestore innerhtml outerhtml"
    " srcdoc".split()
)
# The page's own objects, read, written or looked up under a name in pieces.
_OBJECT = re.compile(
    r"(?<![\w$-])(?:document|window|self|top|parent|frames|globalthis|this|location|opener"
    r"|navigation|cookiestore)"
    r"\s{0,3}(?:(?:\?\.)?\[|\.\s{0,3}(?:cookie|domain|write|location|href|alert"
    r"|constructor|eval|getelement|queryselector|createelement|localstorage|sessionstorage|defaultview"
    r"|documentelement))"
    r"|(?<![\w$-])(?:document|window|location|opener)\s{0,3}\.\s{0,3}(?:body|name|open|origin|forms|title)"
    r"|(?<![\w$.-])(?:document\.)?location(?:\.href|\.hash)?\s{0,3}=[^=]"
    r"|\$(?:event|on|eval)\b\.?\(?|\.(?:innerhtml|outerhtml|srcdoc)\s{0,3}="
)
_SHOWING = frozenset(
    "alert prompt confirm eval throw onerror onload tostring valueof prototype instance hasinstance".split()
)
# An assignment of something that shows, for whoever may not write brackets.
_HANDLER = re.compile(
    r"(?:onerror|onload|valueof|tostring|hasinstance\]?"
    r"|prototype\.\w{1,20})['\"\]]{0,2}\s{0,3}[:=]\s{0,3}(?:alert|prompt"
    r"|confirm|print|eval|\w{1,20}\.\w{1,20}|location)|(?<![\w$.])throw[\s/*{]{1,4}[\w$,=]{0,30}"
    r"(?:onerror|alert|eval|\d)|=\s{0,2}(?:alert|prompt|confirm|eval)\s{0,2}(?:[,;)}]|$)"
    r"|\[\s{0,3}[\d,.]{1,9}\s{0,3}\]\s{0,3}\.\s{0,3}(?:find|map|some|every|filter|foreach|sort|concat)"
    r"|\[\s{0,2}['\"]?(?:alert|prompt|confirm|eval)['\"]?\s{0,2}\]|(?:alert|prompt|confirm|eval)\.source"
)
_BRACKETS = re.compile(r"[\[\]()!+]{12,}|\[\]\s{0,2}\[\s{0,2}[(!\"'`]")
_IN_TWO = re.compile(r"['\"]\s{0,3}\+\s{0,3}['\"]")
# A text that acts holds one of these words or of these signs.
WORDS = _PAGE | _SHOWING | {"get", "getscript", "getjson"} | {name for name in _CALLED if name.isalpha()}
SIGNS: Signs = (
    ("[", r"\]\s{0,2}\["),
    ("[]()!+", r"[\[\]()!+]{11}"),
    ("+", r"(?:(?<=['\"]\+)|(?<=['\"]\s\+)|(?<=['\"]\s\s\+)|(?<=['\"]\s\s\s\+))\s{0,3}['\"]"),
    ("$", r"(?:event|on|eval)\b"),
)


def acts(text: str, said: list[str] | None = None) -> bool:
    """Whether a lower-case text, whose words may be given, holds JavaScript that does something to the page or its
    user."""
    said = words(text) if said is None else said
    return may_act(text, said) and _acts_somehow(text, said)


may_act = telling(WORDS, SIGNS)
"""Whether a lower-case text, given with its words, or any part of it might act: most do not even hold a word of it."""


def _acts_somehow(text: str, said: list[str]) -> bool:
    if _acts(text, said):
        return True
    if "+" not in text:
        return False
    joined = _IN_TWO.sub("", text)  # names in pieces: 'al'+'ert'
    return joined != text and _acts(joined, words(joined))


def _acts(text: str, said: list[str]) -> bool:
    if ("(" in text and _calls(text, "(")) or ("`" in text and _calls(text, "`")):
        return True
    if (not _PAGE.isdisjoint(said) or "$" in text) and _OBJECT.search(text):
        return True
    if not _SHOWING.isdisjoint(said) and _HANDLER.search(text):
        return True
    return "[" in text and _BRACKETS.search(text) is not None


def _calls(text: str, bracket: str) -> bool:
    """Whether something dangerous is called, by a bracket or as the tag of a template literal."""
    position = text.find(bracket)
    for _ in range(_CALLS):
        if position < 0:
            return False
        after = text[position + 1 : position + 3]
        quoted = bracket == "`" and not (after[:1].isalnum() or after[:1] in ("$", "`", "/", "\\", "'", "{"))
        if position and not quoted and _named(text[max(0, position - 48) : position], after):
            return True
        position = text.find(bracket, position + 1)
    return False


def _named(before: str, after: str) -> bool:
    """Whether what stands before a bracket is one of the names; behind a blank only if code follows."""
    if before.endswith("*/"):
        before = before[: before.rfind("/*")]
    name = before.rstrip("\"'])?. \t")
    if name.endswith(_BORROWED):
        name = name[: name.rfind(".")].rstrip("\"'])")
    if not name.endswith(_CALLED):
        return False
    if before[-1:] in (" ", "\t") and (after[:1] not in "0123456789'\"`/" or not after):
        return False
    if name.endswith("print") and after[:1] != ")":
        return False
    if name.endswith("function"):
        return after[:1] in ("'", '"', "`", "x")
    word = max((known for known in _CALLED if name.endswith(known)), key=len)
    left = name[: -len(word)][-1:]
    return not (left.isalnum() or left in ("_", "$"))
