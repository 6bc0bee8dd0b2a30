"""The readings of a query: its names and values as each framework decodes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_to_bytes

from metlo_otel.core.codec_names import codec_named
from metlo_otel.core.paths import requoted
from metlo_otel.core.portions import PORTION, portions

Pairs = list[tuple[str, str]]

CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:+-]{1,40})""", re.IGNORECASE)
"""The charset parameter of a content type, as frameworks find it."""

_REPLACED = "\ufffd"
_OTHER = re.compile(r"[^\x00-\x7f]")
_UTF8 = ("utf-8", "ascii")
_SLOW = ("idna", "punycode")  # codecs whose time is quadratic in what they read


def pairs(text: str, encoding: str = "utf-8") -> Iterator[tuple[str, str]]:
    """The decoded names and values of a query or form; empty pieces count for nothing, a name without `=` has the
    empty value, invalid bytes are replaced.
    """
    encoded = "%" in text or "+" in text
    for portion in portions(text, "&"):
        for piece in filter(None, portion.split("&")):
            name, _, value = piece.partition("=")
            yield (unquoted(name, encoding), unquoted(value, encoding)) if encoded else (name, value)


def unquoted(text: str, encoding: str = "utf-8") -> str:
    """A name or value, decoded."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if not text.isascii():
        return "".join([unquote(piece, encoding, "replace") for piece in _pieces_of(text)])
    return (unquote_to_bytes(text) if len(text) <= PORTION else _long(text)).decode(encoding, "replace")


def _pieces_of(text: str) -> Iterator[str]:
    """A text in pieces between which no escapes stand side by side."""
    start = 0
    while start < len(text):
        between = _OTHER.search(text, start + PORTION)
        end = between.start() if between else len(text)
        yield text[start:end]
        start = end


def _long(text: str) -> bytes:
    """The bytes of a long text: what decodes it makes a list of all pieces between percent signs."""
    found = []
    start = 0
    while start < len(text):
        end = start + PORTION
        escape = text.rfind("%", end - 2, end)
        end = end if escape < 0 else escape
        found.append(unquote_to_bytes(text[start:end]))
        start = end
    return b"".join(found)


def query_readings(raw: bytes, charset: str = "") -> tuple[Pairs, ...]:
    """What frameworks make of a query, the common reading first.

    Starlette reads bytes that are not ASCII as Latin-1; Werkzeug keeps a byte that is no UTF-8 percent-encoded; Django
    under WSGI reads all in the `charset` of the request's Content-Type.
    """
    found = [list(pairs(_text(raw)))]
    if not raw.isascii():
        found.append(list(pairs(raw.decode("latin-1"))))
    if b"%" in raw and any(_REPLACED in text for pair in found[0] for text in pair):
        found.append([(requoted(name), requoted(value)) for name, value in _pieces(raw)])
    encoding = codec(charset)
    if encoding not in ("", *_UTF8):
        found.append(pairs_in(raw, encoding))
    return tuple(found)


def codec(charset: str) -> str:
    """The name of the codec of a charset; empty where there is none that reads text quickly."""
    found = codec_named(charset) if charset else None
    return "" if found is None or found.name in _SLOW else found.name


def pairs_in(raw: bytes, encoding: str) -> Pairs:
    """The names and values of a query all in one charset, as Django reads it under WSGI; none where that fails."""
    try:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        return list(pairs(text, encoding))
    except (LookupError, ValueError, Warning):  # a codec of bytes, or one that fails: so does the app
        return []


def _pieces(raw: bytes) -> list[tuple[bytes, bytes]]:
    found = [pair.partition(b"=") for pair in raw.replace(b"+", b" ").split(b"&") if pair]
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in found]


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
