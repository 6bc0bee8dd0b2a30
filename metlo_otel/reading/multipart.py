"""multipart/form-data (RFC 7578) as Werkzeug, Django and python-multipart read it, with the place of each content."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote_to_bytes

from metlo_otel.core.query import charsets
from metlo_otel.reading.located import replaced

MAX_PARTS = 1000
_BOUNDARY = re.compile(
    r'(?:\A|[;,\s])boundary(?:\*[0-9]{0,2}\*?)?\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;,]*)([^;]*))', re.IGNORECASE
)
_USUAL = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([^"\\\r\n]*)"(?:; filename="([^"\\\r\n]*)")?'
    rb"(?:\r\nContent-Type: [\w/.+-]+)?\r\n\r\n"
)  # a part's headers as programs write them
_FIRST_LINE = re.compile(rb"\A\s*--([^\r\n]{1,200}?)[ \t]*[\r\n]")
_BLANK = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
_FOLD = re.compile(r"(?:\r\n|\n|\r)[ \t]+")
_LINE = re.compile(r"\r\n|\n|\r")
_PARAMETER = re.compile(r';\s*([^\s=;"]+?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;]*))', re.DOTALL)
_FILE = re.compile(
    r'^content-disposition: *[a-z-]+(?:; *[a-z]+="[^"\\\r\n]*")*; *filename="[^"\\\r\n]+"'
    r"(?:; *filename\*=utf-8'[a-z-]*'[^\s;\"']+)?"
    r'(?:; *(?!filename)[a-z]+="[^"\\\r\n]*")* *\r?$',
    re.IGNORECASE | re.MULTILINE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLACEHOLDER = re.compile(rb"\[file, (at least )?\d+ bytes\]")


Mark = tuple[int, int]
"""Where a boundary begins and ends."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part; its content is `body[start:end]`, `whole` unless the body's end cuts it.

    `names` are what readers may call it, the likeliest first; `filename` is None for what is no file, and `is_file`
    says that every reader takes it for one.
    """

    names: tuple[str, ...]
    filename: str | None
    start: int
    end: int
    whole: bool = True
    charset: str | None = None
    coding: str = ""
    is_file: bool = False

    @property
    def name(self) -> str | None:
        """The likeliest name."""
        return self.names[0] if self.names else None


def boundaries(content_type: str, body: bytes = b"") -> list[bytes]:
    """The boundaries that a content type may be read to name; where none occurs, the one that `body` begins with."""
    found = []
    pieces = b""  # as RFC 2231 continues a value
    for match in _BOUNDARY.finditer(content_type):
        quoted, bare, rest = match.groups()
        spelled = [_ESCAPED.sub(r"\1", quoted)] if quoted is not None else [bare, (bare + rest).strip()]
        found += [_undone(text) for text in spelled if text]
        pieces += _undone(spelled[0])
    found.append(pieces)
    named = [boundary for boundary in dict.fromkeys(found) if boundary]
    if not any(b"--" + boundary in body for boundary in named):
        first = _FIRST_LINE.match(body)
        named += [first[1]] if first else []
    return named


def _undone(boundary: str) -> bytes:
    """A boundary without what RFC 2231 writes before one, percent-decoded as it has it."""
    return unquote_to_bytes(boundary.rpartition("'")[2].encode("latin-1", "replace"))


def read_parts(body: bytes, content_type: str, most: int = MAX_PARTS) -> list[Part]:
    """The parts by the first boundary named that occurs, at most 1,000 and what is behind; see _between."""
    for boundary in boundaries(content_type):
        parts = _between(body, boundary, most)
        if parts:
            return parts
    return []


def all_parts(body: bytes, content_type: str) -> list[Part]:
    """The parts by every boundary that may be meant, and by lines and anywhere: what any reader takes for a part."""
    found: dict[tuple[int, int], Part] = {}
    for boundary in boundaries(content_type, body):
        parts = [*_between(body, boundary, MAX_PARTS), *_around(body, boundary)]
        alone = sum(1 for _ in _marks(body, boundary, MAX_PARTS))
        if len(parts) <= MAX_PARTS and body.count(b"--" + boundary) != alone:
            parts += _between(body, boundary, MAX_PARTS, anywhere=True)
        for part in parts:
            found.setdefault((part.start, part.end), part)
    return list(found.values())


def _marks(body: bytes, boundary: bytes, most: int, anywhere: bool = False) -> Iterator[Mark]:
    """Where the first boundaries stand, one more than `most`: alone in their line, or `anywhere` as Django has it."""
    line = rb"(?:--|[^\S\r\n]*(?=[\r\n])|[^\S\r\n]*\Z)"
    mark = rb"--" + re.escape(boundary)
    pattern = mark + rb"(?:--)?" if anywhere else mark + rb"(?<![^\r\n]" + mark + rb")" + line
    return (found.span() for found in islice(re.finditer(pattern, body), most + 1))


def _between(body: bytes, boundary: bytes, most: int, anywhere: bool = False) -> list[Part]:
    """The parts between boundaries. One that the body's end cuts is not whole, and what stands behind the first `most`
    is one part without a name.
    """
    found: list[Part | None] = []
    start, end, count = 0, 0, 0
    for count, (place, behind) in enumerate(_marks(body, boundary, most, anywhere), 1):
        if count > 1:
            found.append(_part(body, end, _line_end(body, place), True))
        start, end = place, behind
    if count > most:
        found.append(Part((), None, end, len(body), False))
    elif count and not body.startswith(b"--", start + len(boundary) + 2):
        found.append(_part(body, end, len(body), False))
    return [part for part in found if part is not None]


def _around(body: bytes, boundary: bytes) -> list[Part]:
    """What stands before the first boundary and behind the one that ends a body: parts as well to Django."""
    mark = b"--" + boundary
    first, last = body.find(mark), body.rfind(mark)
    if first < 0:
        return []
    sides = [(0, _line_end(body, first))]
    if body.startswith(b"--", last + len(mark)):
        sides.append((last + len(mark) + 2, len(body)))
    found = [_part(body, start, end, True) for start, end in sides if body[start:end].strip(b"- \t\r\n")]
    return [part for part in found if part is not None]


def _line_end(body: bytes, start: int) -> int:
    """Where the line before the one at `start` ends."""
    if body[start - 2 : start] == b"\r\n":
        return start - 2
    return start - 1 if body[start - 1 : start] in (b"\r", b"\n") else start


def without_files(body: bytes, content_type: str) -> bytes | None:
    """The body with each file's content replaced by its size; None where no part is found at all."""
    parts = all_parts(body, content_type)
    files = [(part.start, part.end, _size(body, part)) for part in parts if part.filename is not None]
    return replaced(body, files) if parts else None


def written(fields: Iterable[tuple[str, str | None, str]], boundary: bytes) -> bytes:
    """A body of these parts: the name, a file's name or None, and what it says."""
    parts = []
    for name, filename, value in fields:
        file = "" if filename is None else f'; filename="{_quoted(filename)}"'
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"{file}\r\n\r\n'
        parts.append(b"--%s\r\n%s\r\n" % (boundary, (head + value).encode("utf-8", "replace")))
    return b"".join(parts) + b"--%s--\r\n" % boundary


def _quoted(text: str) -> str:
    return _LINE.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')


def values(part: Part, body: bytes, named: Iterable[str] = ()) -> list[str]:
    """What readers may take a part's content for: UTF-8, its own charset and those `named` for all of the body,
    the coding of its transfer undone.
    """
    content = body[part.start : part.end]
    found = [content.decode("utf-8", "replace")]
    if part.charset is None and not part.coding and not named:
        return found
    for charset in (*named, *filter(None, [part.charset])):
        try:
            found.append(content.decode(charset, "replace"))
        except (LookupError, UnicodeError):
            found.append("")
    if part.coding == "base64":
        try:
            found.append(base64.b64decode(content).decode("utf-8", "replace"))
        except (binascii.Error, ValueError):
            found.append("")
    elif part.coding == "quoted-printable":
        found.append(quopri.decodestring(content).decode("utf-8", "replace"))
    return [text for text in dict.fromkeys(found) if text] or [""]


def _size(body: bytes, part: Part) -> bytes:
    content = body[part.start : part.end]
    if _PLACEHOLDER.fullmatch(content):
        return content
    return b"[file, %s%d bytes]" % (b"" if part.whole else b"at least ", len(content))


def _part(body: bytes, start: int, end: int, whole: bool) -> Part | None:
    usual = _USUAL.match(body, start, end)
    if usual is not None:
        name, file = usual.groups()
        filename = None if file is None else file.decode("utf-8", "replace")
        return Part((name.decode("utf-8", "replace"),), filename, usual.end(), end, whole, is_file=bool(filename))
    blank = _BLANK.search(body, start, end)
    if blank is None:
        return Part((), None, start, end, whole) if whole and end > start else None
    head = body[start : blank.start()].decode("utf-8", "replace")
    headers = _headers(head)
    given = _parameters(headers.get("content-disposition", ""))
    charset = next(iter(charsets(headers.get("content-type", ""))), None)
    names = [given[name] for name in ("name*", "name") if name in given]
    filename = given.get("filename*", given.get("filename"))
    coded = headers.get("content-transfer-encoding", "").partition(";")[0].strip().lower()
    return Part(tuple(dict.fromkeys(names)), filename, blank.end(), end, whole, charset, coded, _is_file(head))


def _is_file(head: str) -> bool:
    """Whether a part with these headers is a file to every reader: its name is there once, in quotes, and not empty."""
    alone = head.lower().count("disposition") == 1 and _FOLD.search(head) is None
    return alone and _FILE.search(head) is not None


def _headers(text: str) -> dict[str, str]:
    found = {}
    for line in _LINE.split(_FOLD.sub(" ", text.lstrip("\r\n"))):
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value
    return found


def _parameters(disposition: str) -> dict[str, str]:
    """The parameters, in the pieces and encodings of RFC 2231 under their name with an asterisk."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(disposition):
        name = match[1].lower()
        value = _ESCAPED.sub(r"\1", match[2]) if match[2] is not None else match[3]
        base, asterisk, rest = name.partition("*")
        if not asterisk:
            found[name] = value
            continue
        if name.endswith("*"):
            value = unquote_to_bytes(value.rpartition("'")[2]).decode("utf-8", "replace")
        found[base + "*"] = found.get(base + "*", "") + value if rest.strip("*") else value
    return found
