"""SQL read as tokens, tolerant of every dialect: what an expression, a list or a statement is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

NUMBER, STRING, OPEN_STRING, WORD, OPEN, CLOSE, COMMA, SEMICOLON, COMMENT, OPERATOR, VARIABLE, OTHER = range(1, 13)

_TOKEN = re.compile(
    r"""\s*(?:
      (0x[0-9a-f]+|\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)
    | ([nxb]?'[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | [nxb]?"[^"\\]*(?:(?:\\.|"")[^"\\]*)*")
    | (['"].*)
    | ((?:[^\W\d][\w$]*|`[\w$.\ ]*`?)(?:\.[\w$`*]+)* | \[\w{1,60}\](?:\.\[?\w{1,60}\]?)*)
    | (\() | (\)) | (,) | (;)
    | (--[^\n]*\n?|\#[^\n]*\n?|/\*.*)
    | (<=>|<>|!=|<=|=>|>=|:=|::|@>|<@|->>?|\|\||&&|[-+*/%^~|&=<>!])
    | (@@?[\w$.`]*|:\w+|\?)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_LOOKALIKES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02b9\u02bc\u00b4\uff07", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u2033\uff02", '"')
)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_TWICE = re.compile("\u00e2(?:\u0080[\u0098\u0099]|\u20ac[\u02dc\u2122])")  # UTF-8 read as another coding
_BLANKS = re.compile("[\x00-\x08\x0e-\x1f\x7f\u00a0\u2000-\u200a\u3000\ufffd]|(?:--|#)\\w*[\n\x0b]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f\u00a0\u2000-\u200a\u3000\ufffd]")
_DASH = re.compile("[\u2013\u2014]\\s*\\Z")
_NO_EXPONENT = re.compile(r"\d\.e(?=[\s(),.*/|=]|\Z)")
_EXECUTABLE = re.compile(r"/\*!\d{0,6}")


def without_comments(text: str) -> str:
    """Comments inside a line as the space they stand for; MySQL's executable ones as what they execute."""
    if "/*!" in text:
        text = _EXECUTABLE.sub(" ", text)
    kept, position = [], 0
    while (start := text.find("/*", position)) >= 0 and (end := text.find("*/", start + 2)) >= 0:
        kept.append(text[position:start])
        position = end + 2
    kept.append(text[position:])
    return " ".join(kept).replace("*/", "  ")


def folded(text: str) -> str:
    """A lower-case text as databases read it: look-alikes of quotes as quotes, letters of no width gone, control
    characters as blanks, numbers without the exponent that MySQL skips, line comments as the break that ends them."""
    if not text.isascii():
        text = _TWICE.sub("'", text)
        text = _DASH.sub("--", _UNSEEN.sub("", text.translate(_LOOKALIKES)))
    if not text.isprintable() and ("--" in text or "#" in text or _CONTROL.search(text)):
        text = _BLANKS.sub(" ", text)
    if ".e" in text:
        text = _NO_EXPONENT.sub(" ", text)
    return text


def tokens(text: str, limit: int) -> Iterator[re.Match[str]]:
    """At most `limit` tokens of a lower-case text; the number of the group that matched is the kind."""
    return islice(_TOKEN.finditer(text), limit)
