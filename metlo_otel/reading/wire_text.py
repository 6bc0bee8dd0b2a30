"""What a body says as text on the wire: binary told from text, files of a form by their size."""

from __future__ import annotations

import codecs
import re

from metlo_otel.core.codec_names import codec_named
from metlo_otel.core.query import charsets
from metlo_otel.core.record import Message
from metlo_otel.reading.multipart import without_files

# Charsets in which the bytes of ASCII mean nothing but ASCII, so that masking bytes is masking text.
_CHARSETS = re.compile(r"utf-?8|us-ascii|ascii|latin-?1|iso-?8859-\d+|windows-125\d|cp125\d|koi8-[ru]", re.IGNORECASE)
_TEXTUAL = re.compile(
    r"text/.+|application/(.*[+-])?(json|xml|javascript|yaml|ndjson|graphql|csp-report|json-seq|x-www-form-urlencoded)"
    r"|image/svg\+xml|multipart/form-data"
)
_MEDIA = re.compile(r"(image|audio|video|font)/.+")


def text_of(message: Message) -> str | None:
    """The body as text, files of a form by name and size only; None where it is binary."""
    body, media = message.body, message.media_type
    if not body:
        return ""
    if media == "multipart/form-data":
        body = without_files(body, message.content_type) or b"\0"
    if b"\0" in body or (_MEDIA.fullmatch(media) and media != "image/svg+xml"):
        return None
    return _text(body, charset_of(message.content_type), media, message.truncated)


def charset_of(content_type: str) -> str | None:
    """The charset named; UTF-8 where none is; None where it is one that is not read here."""
    named = charsets(content_type)
    if not named:
        return "utf-8"
    codec = codec_named(named[0]) if _CHARSETS.fullmatch(named[0]) else None
    return None if codec is None else codec.name


def _text(body: bytes, charset: str | None, media: str, truncated: bool) -> str | None:
    if charset is None:
        return None
    try:
        return codecs.getincrementaldecoder(charset)().decode(body, final=not truncated)
    except UnicodeDecodeError:
        return body.decode(charset, "replace") if _TEXTUAL.fullmatch(media) else None
