"""SQL as a sentence of one letter for each token, brackets closed to what they yield: short enough for patterns.

n number   N NULL   b TRUE, FALSE   s text   p text with a %   z text that is open at the end
w name   v call or group   V variable of the server
y table of the system   q sub-select   Z call that waits or leaks   Q sleep()   c CASE or IF   t comparison
& AND, OR, ...   = comparison   T comparison with one answer   o arithmetic   ! NOT and signs   e PL/SQL's BEGIN
S U A F I O G L H   SELECT, UNION, ALL, FROM, INTO, ORDER BY, GROUP BY, LIMIT, WHERE or HAVING
C comment with nothing behind it   d comment   , ; as they are   x anything else
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors import sql_tokens as t
from metlo_otel.analysis.detectors import sql_words as w

_LIMIT = 120  # tokens of one sentence
_SPOKEN = 2  # blanks of a text that is open at the end: with one more it is prose
_MOST_NAMES = 3  # in a row: with one more it is prose
_ROUNDS = 12  # brackets within brackets
_LETTERS = {
    **dict.fromkeys(("and", "or", "xor", "&&", "||"), "&"),
    **dict.fromkeys(w.COMPARE | w.COMPARISONS | {"in", "is"}, "="),
    **dict.fromkeys(("div", "mod", "collate", "escape", "over", "at"), "o"),
    **dict.fromkeys(("not", "binary", "exists", "any", "some"), "!"),
    "null": "N",
    "true": "b",
    "false": "b",
    **dict.fromkeys(w.SETS, "U"),
    **dict.fromkeys(("all", "distinct", "distinctrow", "top"), "A"),
    **dict.fromkeys(("from", "join"), "F"),
    **dict.fromkeys(("limit", "offset", "fetch"), "L"),
    **dict.fromkeys(("when", "then", "else"), ","),
    **dict.fromkeys(("where", "having"), "H"),
    **dict.fromkeys(("as", "asc", "desc", "by"), ""),
    "order": "O",
    "group": "G",
    "select": "S",
    "into": "I",
    "case": "c(",
    "end": ")",
    "begin": "e",
    "iif": "c",
    "elt": "c",
    "sleep": "e",
}  # fmt: skip
_KINDS = {t.NUMBER: "n", t.STRING: "s", t.OPEN_STRING: "z", t.OPEN: "(", t.CLOSE: ")", t.COMMA: ",", t.SEMICOLON: ";"}
_CONSTANT = frozenset("nNbspz")
_NOTHING_AFTER = re.compile(r"(?:--|#)[\s\-+#;*/%\x00'\")]*|/\*[\s\-+#;*/%\x00]*")
_ORDER = re.compile(r"\s+by\b")
_CALL = re.compile(r"\(")
_SPACED_CALL = re.compile(r"\s{0,3}\(")
_ENGLISH = frozenset("polygon multipoint linestring readfile writefile analyse".split())  # elsewhere as well
_SPEAKS = re.compile(r"n[nw]|ww[wn]")
_TABLE = re.compile(r"\w*[_.$]|sys[a-z]{4}|msys|dual\b")
_INNERMOST = re.compile(r"([fwceu]?)\(([^()]*)\)")
_OPERANDS = "nNbspwvVyqZQct"
OPERAND = f"!?[{_OPERANDS}]"
VALUE = f"{OPERAND}(?:[o=T&]{OPERAND})*"
_ITEM = f"(?:!(?=[F,]|$)|{VALUE})[ws]?"  # a star is a sign without an operand
ITEMS = f"SA?(?:n(?=w))?{_ITEM}(?:,{_ITEM})*(?:I[nwsV])?"
SELECT = f"{ITEMS}F[wyqvs](?:w(?![wx]))?(?:,[wyq]w?)*"
_SUB_SELECT = re.compile(f"{SELECT}.*|{ITEMS}H.*|SA?(?:!?[nNbspvVqZQct].*|.*,.*|!)")
_BEHIND = re.compile(f"(?<=[{_OPERANDS}])!*o[o!]*")
_BEFORE = re.compile(f"(?<![{_OPERANDS}o])[!o]+")
_TWICE = re.compile("A{2,}|!+(?=[=T])")


def sentence(text: str) -> str:
    """The sentence of a lower-case text without comments in its middle."""
    letters = "".join(_letters(text.strip()))
    for _ in range(_ROUNDS):
        closed = _INNERMOST.sub(_yielded, letters)
        if closed == letters:
            break
        letters = closed
    return _plain(letters.replace("(", "").replace(")", ""))


def _plain(letters: str) -> str:
    """One letter for all signs in a row, `o` behind an operand and `!` before one: no pattern reads them two ways."""
    letters = _TWICE.sub(lambda match: match[0][:1].replace("!", ""), letters)
    return _BEFORE.sub("!", _BEHIND.sub("o", letters))


def _letters(text: str) -> Iterator[str]:
    """The letter of each token; a comparison's once its right side is known."""
    left = right = ("", "")  # letter and text of what stands before and behind a comparison
    compares = False
    spoken = 0  # names in a row
    for found in t.tokens(text, _LIMIT):
        kind = found.lastindex or t.OTHER
        right = _letter(kind, found[kind], text, found.end()), found[kind]
        if right[0] == "=" and not compares:
            compares = True
            continue
        if compares and right[0] != "=":
            yield "T" if _has_one_answer(left, right) else "="
            compares = False
        yield right[0]
        spoken = spoken + 1 if right[0] == "w" else 0
        if spoken > _MOST_NAMES or (right[0] == "x" and not left[0]):
            return
        left = right
    if compares:
        yield "="


def _has_one_answer(left: tuple[str, str], right: tuple[str, str]) -> bool:
    """Whether constants are compared, or a name with itself."""
    if left[0] in _CONSTANT and right[0] in _CONSTANT:
        return True
    return left[0] == right[0] == "w" and left[1].strip("`") == right[1].strip("`")


def _letter(kind: int, said: str, text: str, end: int) -> str:
    if kind == t.WORD:
        return _word(said.strip("`"), text, end)
    if kind == t.OPERATOR:
        return _LETTERS.get(said) or ("!" if said in "~!" else "o")
    if kind == t.COMMENT:
        return "C" if end >= len(text) and _NOTHING_AFTER.fullmatch(said) else "d"
    if kind == t.VARIABLE:
        return "V" if said.startswith("@@") else "n" if said[0] == "@" else "x"
    if kind == t.STRING and "%" in said:
        return "p"
    if kind == t.OPEN_STRING and said.count(" ") > _SPOKEN:
        return "x"
    return _KINDS.get(kind, "x")


def _word(word: str, text: str, end: int) -> str:
    known = _LETTERS.get(word)
    called = (_SPACED_CALL if "_" in word or "." in word else _CALL).match(text, end) is not None
    if known is not None:
        if known in ("O", "G"):
            return known if _ORDER.match(text, end) else "w"
        return known if called or word not in ("iif", "elt", "sleep") else "w"
    if called:
        if word in _ENGLISH:
            return "e"
        return "f" if word in w.SLOW or word in w.LEAKING else "u" if word in w.BUILDING else "w"
    return "y" if w.SYSTEM_TABLE.match(word) and _TABLE.match(word) else "w"


def _yielded(match: re.Match[str]) -> str:
    """What a call or a group is to what stands around it: the most telling of what it holds."""
    name, inside = match[1], _plain(match[2])
    if name in ("e", "f") and _SPEAKS.match(inside):
        return "x"
    if name == "f" or "Z" in inside:
        return "Z"
    if name == "e" or "Q" in inside:
        return "Q"
    if "q" in inside or _SUB_SELECT.fullmatch(inside):
        return "q"
    if name == "c":
        return "c" if "," in inside and ("T" in inside or "t" in inside) else "v"
    if name:
        return "v"
    if len(inside) == 1:
        return inside
    return "t" if "T" in inside or "t" in inside else "c" if "c" in inside else "v"
