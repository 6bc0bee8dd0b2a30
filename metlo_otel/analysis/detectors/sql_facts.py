"""What of SQL no prose holds: constructs of a sentence that is read from its beginning to its end.

Each is a pattern over the letters of sql_sentences, by its name, for a value that goes on with a number or a name
(bare), and for one that left a text by a quote.
"""

from __future__ import annotations

import re

from metlo_otel.analysis.detectors.finding import Confidence
from metlo_otel.analysis.detectors.sql_sentences import ITEMS, OPERAND, SELECT, VALUE

_END = "(?:;?[Cd].*|;*|;?[&o=T,]?!?z|o)"
_CUT = "[;z]?C"
_LEAD = f"(?:!?[nNbsp]|w[=T]{OPERAND})"  # what the statement's own value may be
_LIMITED = "(?:Ln(?:,n)?)?"
_LIST = f"{VALUE}(?:,{VALUE})*"
_ALL = f"(?:H{VALUE})?(?:[OG]{_LIST})?{_LIMITED}(?:U.*|{_END})"
_JOINED = f"(?:[&o]{VALUE})?(?:H{VALUE})?"
_COUNTED = "[OG](?:!?[nvct]|w(?!w))(?:,!?[nvctw])*"
_CONSTANTS = f"SA?[nNspvVqZQc](?:,{VALUE}w?)*{_END}"
_SLOW, _SUB = "(?=[^SU;]*[ZQ])", "(?=[^SU;]*q)"
_TRUE = f"!?(?:wTw|[nNbsp][T=]!?[nNbspz])(?:[&,OGHLo].*|{_END})"

Facts = tuple[tuple[Confidence, str, re.Pattern[str]], ...]


def _facts(*rows: tuple[Confidence, str, str]) -> Facts:
    return tuple((confidence, name, re.compile(pattern)) for confidence, name, pattern in rows)


BARE = _facts(
    ("high", "union with a select", f"(?:{_LEAD}{_JOINED}{_LIMITED})?U!?A?(?:{SELECT}{_ALL}|{_CONSTANTS})"),
    ("high", "operator and sub-select", f"{_SUB}{_LEAD}?[&o=,T!]{_LIST}{_ALL}"),
    ("low", "name compared with a sub-select", f"w=q{_ALL}"),
    ("high", "nothing but a sub-select, the rest cut off", f"!?q{_CUT}"),
    ("low", "nothing but a sub-select", "!?q"),
    ("low", "constant among others", f"[ns]&!?[nsp]=v{_END}"),
    ("high", "slow call behind an operator", f"{_SLOW}{_LEAD}?[&o=,T!OG]{_LIST}{_ALL}"),
    ("high", "nothing but a call that waits or leaks", f"Z{_END}|Q(?:[=T].*)?(?:C|z)"),
    ("low", "nothing but sleep()", "Q;?"),
    ("high", "choice by a comparison", f"n?c(?:[=T]{OPERAND})?{_END}"),
    ("high", "comparison that is always true", f"(?:{_LEAD}{_JOINED})?[&H]{_TRUE}"),
    ("high", "test of all rows", f"[ns]&w=(?:!?N|p){_END}"),
    ("high", "comparison behind AND or OR, the rest cut off", f"&w=[wnsp]{_CUT}"),
    ("high", "constant behind OR, the rest cut off", f"!?[ns]?&!?[nNb]{_CUT}"),
    ("low", "truth behind OR", "!?n?&!?b"),
    ("high", "columns counted, the rest cut off", f"!?[nw]?{_COUNTED}{_CUT}"),
    ("low", "columns counted", "!?n?On(?:,n)*;?"),
    ("high", "variable of the server", f"(?:n[&,=o]|S)V{_END}"),
    ("high", "select from a table of the system", f"{ITEMS}Fy(?!w).*"),
    ("low", "union", "n?UA?S!?"),
    ("high", "block that waits", "[^e]*e[^Z]*Z[^;]*;.*"),
)  # fmt: skip
GOES_ON = _facts(
    ("high", "columns counted", f"!?n?{_COUNTED};?"),
    ("high", "truth behind OR", "&!?b"),
    ("low", "comparison behind AND or OR", "&w=[wnsp]"),
)
"""For a value that starts with a blank, as nobody writes one and the middle of a statement does."""
LEFT = _facts(
    ("high", "union with a select", f"{_JOINED}U!?A?(?:{SELECT}{_ALL}|{_CONSTANTS})"),
    ("high", "operator and sub-select", f"{_SUB}[&o=,T!]{_LIST}{_ALL}"),
    ("high", "slow call behind an operator", f"{_SLOW}[&o=,T!OG]{_LIST}{_ALL}"),
    ("high", "comparison that is always true", f"{_JOINED}[&H]{_TRUE}"),
    ("high", "second statement that waits", ";?S[ZQ](?:[,;Cd].*)?"),
    ("high", "puzzle of constants", "(?:[!o=]s)*&!?s(?:[o=&T]s)*[o=&T]z"),
    ("low", "text behind OR", "&!?s"),
    ("low", "test of a name", f"&w=(?:!?N|p|z|s|n){_END}"),
    ("high", "constant behind OR, the rest cut off", f"&!?[nNbs]{_CUT}"),
)  # fmt: skip


def strongest(sentence: str, facts: Facts) -> Confidence | None:
    """How sure the first fact is of all that hold for the sentence, high before low; None where none does."""
    best: Confidence | None = None
    for confidence, _, pattern in facts:
        if (best is None or confidence == "high") and pattern.fullmatch(sentence):
            if confidence == "high":
                return "high"
            best = confidence
    return best
