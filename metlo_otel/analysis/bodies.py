"""A body as bytes, unpacked and decoded: bounded in size, in the charset that it names, or known to be binary."""

from __future__ import annotations

import codecs
import json
import re
import zlib

from metlo_otel.core.record import Message

MAX_UNPACKED = 65_536
"""How many bytes of a compressed body are unpacked; the rest counts as cut."""

_CHARSET = re.compile(r'charset\s*=\s*"?([\w.:-]{1,40})', re.IGNORECASE)
# Codecs that are no charset of the web, some of them slow on hostile input.
_REFUSED = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7", "mbcs", "oem"})
_TEXTUAL = re.compile(
    r"text/|application/(?:json|xml|x-www-form-urlencoded|yaml|x-yaml|graphql|javascript)|.*\+(?:json|xml|yaml)$"
)
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r\f\x1b")


def unpack(message: Message) -> tuple[bytes, bool]:
    """The body without gzip and deflate, and whether its end is missing. A coding we do not read gives no bytes."""
    data, cut = message.body, message.truncated
    codings = [part.strip().lower() for value in message.header("content-encoding") for part in value.split(",")]
    for coding in reversed([coding for coding in codings if coding not in ("", "identity")][:3]):
        if coding not in ("gzip", "x-gzip", "deflate"):
            return b"", True
        data, ended = _inflate(data)
        cut = cut or not ended
    return data, cut


def _inflate(data: bytes) -> tuple[bytes, bool]:
    """Unpacked bytes and whether the stream ended. What is not compressed, whatever the header says, stays as it is."""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib by its first bytes; then raw deflate
        stream = zlib.decompressobj(window)
        try:
            unpacked = stream.decompress(data, MAX_UNPACKED)
        except zlib.error:
            continue
        if stream.eof or (unpacked and not _is_text(data)):  # a short text can look like the start of raw deflate
            return unpacked, stream.eof
    return data, True


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode(data: bytes, content_type: str, media_type: str, cut: bool) -> str | None:
    """The body's text: by its charset parameter, else UTF-8, else Latin-1 for textual types; None: it is binary."""
    textual = not media_type or _TEXTUAL.match(media_type) is not None
    encoding = charset(content_type) or _unicode_encoding(data)
    if encoding == "utf-8" and not textual and b"\0" in data:
        return None
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, not cut)
    except UnicodeError:
        return data.decode("latin-1") if textual and not _looks_binary(data) else None


def charset(content_type: str) -> str | None:
    """The codec that a content type's charset parameter names, where it is one that we read."""
    named = _CHARSET.search(content_type)
    if named is None:
        return None
    try:
        codec = codecs.lookup(named[1])
    except (LookupError, ValueError):
        return None
    usable = getattr(codec, "_is_text_encoding", True) and codec.name.replace("_", "-") not in _REFUSED
    return codec.name if usable else None


def _unicode_encoding(data: bytes) -> str:
    """UTF-8 unless zero bytes among the first four tell of UTF-16 or UTF-32 (RFC 4627, section 3)."""
    return json.detect_encoding(data) if b"\0" in data[:4] and len(data) >= 4 and data[:4].count(0) != 4 else "utf-8"


def _looks_binary(data: bytes) -> bool:
    head = data[:4096]
    return len(head) - len(head.translate(None, _CONTROL)) > len(head) // 20
