"""Bytes as text: by the charset that is named, and by those that apps may read them in whatever is named."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from functools import lru_cache

from metlo_otel.core.codec_names import codec_named
from metlo_otel.core.query import charsets

# Codecs that are no charset of the web, some of them slow on hostile input.
_UNUSABLE = frozenset({"idna", "punycode", "undefined", "mbcs", "oem"})
_REFUSED = _UNUSABLE | {"unicode-escape", "raw-unicode-escape", "utf-7"}
_TEXTUAL = re.compile(
    r"text/|application/(?:json|xml|x-www-form-urlencoded|yaml|x-yaml|graphql|javascript)|.*\+(?:json|xml|yaml)$"
)
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r\f\x1b")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where the bytes that are not NUL stand within four, for text of ASCII.
_WIDE = {"utf-16-le": (0, 2), "utf-16-be": (1, 2), "utf-32-le": (0, 4), "utf-32-be": (3, 4)}
_SAMPLE = 4096
_OF_ASCII = frozenset(
    {"ascii", "iso8859-1", "iso8859-15", "cp1252"}
)  # in which bytes of ASCII are what they are in UTF-8


def decode(data: bytes, content_type: str, media_type: str, cut: bool) -> str | None:
    """The text as it is declared: by its charset, else UTF-8, else Latin-1 for textual types; None: it is binary."""
    textual = not media_type or _TEXTUAL.match(media_type) is not None
    encoding = charset(content_type) or _unicode_encoding(data)
    if encoding == "utf-8" and not textual and b"\0" in data:
        return None
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, not cut)
    except UnicodeError:
        return data.decode("latin-1") if textual and not looks_binary(data) else None


def charset(content_type: str) -> str | None:
    """The codec that a content type's charset parameter names, where it is one that we read."""
    named = next(iter(_named(content_type)), None) if "harset" in content_type.lower() else None
    return None if named is None or named.replace("_", "-") in _REFUSED else named


@lru_cache(maxsize=64)
def _named(content_type: str) -> tuple[str, ...]:
    """The codecs that a content type may be read to name."""
    found = [codec for name in charsets(content_type) if (codec := codec_named(name)) is not None]
    return tuple(dict.fromkeys(codec.name for codec in found if getattr(codec, "_is_text_encoding", True)))


def texts(data: bytes, content_type: str = "") -> list[str]:
    """What apps may read the bytes as, each once: wide ones where NULs speak for it, UTF-8, the charsets named.

    What is invalid is replaced; byte order marks are left out.
    """
    return list(dict.fromkeys(readings(data, content_type)))


def readings(data: bytes, content_type: str = "") -> Iterator[str]:
    """As texts(), one after the other, so that they need not all be held; the same text may come twice."""
    if b"\0" in data or data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        for encoding in wide(data):
            yield _replaced(data, encoding)
    yield data.decode("utf-8", "replace").removeprefix("\ufeff")
    for named in _usable(content_type):
        if named != "utf-8" and not (data.isascii() and named in _OF_ASCII):
            yield _replaced(data, named)


def other_encodings(content_type: str) -> list[str]:
    """Other encodings than UTF-8 that a framework may read query and fields in, since the request's type names them."""
    return [named for named in _usable(content_type) if named not in ("utf-8", "ascii")]


def is_unusable(content_type: str) -> bool:
    """Whether a charset is named that Python has and nobody reads a request in: what an app makes of it is not known.

    A name that nothing knows is no charset at all: frameworks read UTF-8 then.
    """
    named = _named(content_type) if "harset" in content_type.lower() else ()
    return any(name.replace("_", "-") in _UNUSABLE for name in named)


def _usable(content_type: str) -> list[str]:
    named = _named(content_type) if "harset" in content_type.lower() else ()
    return [name for name in named if name.replace("_", "-") not in _UNUSABLE]


def _replaced(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace").removeprefix("\ufeff")
    except (UnicodeError, ValueError):
        return ""


def wide(data: bytes) -> list[str]:
    """UTF-16 and UTF-32 as byte order marks, or NULs at most of the other places, tell of them."""
    found = [encoding for mark, encoding in _MARKS if data.startswith(mark)]
    sample = data[:_SAMPLE]
    for encoding, (place, width) in _WIDE.items():
        own = sample[place::width]
        nuls, others = sample.count(0) - own.count(0), len(sample) - len(own)
        if others and nuls * 2 >= others and own.count(0) * 2 <= len(own):
            found.append(encoding)
    return list(dict.fromkeys(found))


def _unicode_encoding(data: bytes) -> str:
    """UTF-8 unless zero bytes among the first four tell of UTF-16 or UTF-32 (RFC 4627, section 3)."""
    return json.detect_encoding(data) if b"\0" in data[:4] and len(data) >= 4 and data[:4].count(0) != 4 else "utf-8"


def looks_binary(data: bytes) -> bool:
    """Whether more than one in twenty of the first bytes is a control character that no text has."""
    head = data[:4096]
    return len(head) - len(head.translate(None, _CONTROL)) > len(head) // 20
