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
    | ((?:[^\W\d]|`)[\w$`]*(?:\.[\w$`*]+)* | \[\w{1,60}\](?:\.\[?\w{1,60}\]?)*)
    | (\() | (\)) | (,) | (;)
    | (--[^\n]*\n?|\#[^\n]*\n?|/\*.*)
    | (<=>|<>|!=|<=|=>|>=|:=|::|@>|<@|->>?|\|\||&&|[-+*/%^~|&=<>!])
    | (@@?[\w$.`]+|:\w+|\?)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)
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


def tokens(text: str, limit: int) -> Iterator[re.Match[str]]:
    """At most `limit` tokens of a lower-case text; the number of the group that matched is the kind."""
    return islice(_TOKEN.finditer(text), limit)
