"""multipart/form-data (RFC 7578), read as far as it goes: fields with their text, files by name and size only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_MAX_PARTS = 200
_MAX_HEADERS = 4096  # bytes of one part's headers
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;\s"]{1,200}))', re.IGNORECASE)
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_DISPOSITION = re.compile(r"^content-disposition:[ \t]*form-data([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(r';[ \t]*([a-z]+\*?)[ \t]*=[ \t]*(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its text, or for a file its name as `filename` and its size in bytes (as far as it was kept)."""

    name: str
    value: str
    filename: str | None
    size: int


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """The parts of a body, at most 200; nothing where there is no boundary or it never occurs.

    A last part that the body's end cuts is read up to there.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        return []
    boundary = (found[1] or found[2]).encode("utf-8", "replace")
    pieces = re.split(rb"\r?\n--" + re.escape(boundary), b"\r\n" + body, maxsplit=_MAX_PARTS)
    parts = []
    for piece in pieces[1 : _MAX_PARTS + 1]:
        if piece.startswith(b"--"):
            break
        part = _part(piece)
        if part is not None:
            parts.append(part)
    return parts


def _part(piece: bytes) -> Part | None:
    end = _HEADERS_END.search(piece, 0, _MAX_HEADERS)
    if end is None:
        return None
    disposition = _DISPOSITION.search(piece[: end.start()].decode("utf-8", "replace"))
    if disposition is None:
        return None
    given = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(disposition[1])}
    if "name" not in given:
        return None
    content = piece[end.end() :]
    filename = _filename(given)
    value = content.decode("utf-8", "replace") if filename is None else ""
    return Part(given["name"], value, filename, len(content))


def _filename(given: dict[str, str]) -> str | None:
    """The name in RFC 5987's encoded form where there is one, else the plain one."""
    encoded = given.get("filename*")
    if encoded is None:
        return given.get("filename")
    return unquote(encoded.rpartition("'")[2], errors="replace")
