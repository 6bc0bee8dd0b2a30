"""The parts of a multipart/form-data body (RFC 7578), found in what was captured of it, cut anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]*)"|([^\s;,]+))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition\s*:(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(
    rb';\s*(name|filename)(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;]*))', re.IGNORECASE | re.DOTALL
)
_PLACEHOLDER = re.compile(rb"\[file, (at least )?\d+ bytes\]")
_BLANK = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Part:
    """A part's content is `body[start:end]`; `name` is None where it could not be read, `whole` unless it was cut."""

    name: str | None
    is_file: bool
    start: int
    end: int
    whole: bool


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a multipart content type names."""
    match = _BOUNDARY.search(content_type)
    found = (match[1] or match[2] or "") if match else ""
    return found.encode("utf-8", "replace") or None


def read_parts(body: bytes, boundary: bytes) -> list[Part]:
    """The parts in their order; a last one without its closing boundary is not whole."""
    marks = list(re.finditer(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:--|[ \t]*(?=\r?\n)|[ \t]*\Z)", body))
    found = []
    for index, mark in enumerate(marks):
        whole = index + 1 < len(marks)
        end = marks[index + 1].start() if whole else len(body)
        part = _part(body, mark.end(), end, whole) if not mark[0].endswith(b"--") or whole else None
        if part:
            found.append(part)
    return found


def without_files(body: bytes, boundary: bytes) -> bytes | None:
    """The body with each file's content replaced by its size; None where no part is found at all."""
    parts = read_parts(body, boundary)
    files = [(part.start, part.end, _size(body, part)) for part in parts if part.is_file]
    return replaced(body, files) if parts else None


def replaced(body: bytes, pieces: list[tuple[int, int, bytes]]) -> bytes:
    """The body with `body[start:end]` replaced by `new`, for each (start, end, new), in order."""
    kept, position = [], 0
    for start, end, new in pieces:
        kept += [body[position:start], new]
        position = end
    return b"".join([*kept, body[position:]])


def _size(body: bytes, part: Part) -> bytes:
    content = body[part.start : part.end]
    if _PLACEHOLDER.fullmatch(content):
        return content
    return b"[file, %s%d bytes]" % (b"" if part.whole else b"at least ", len(content))


def _part(body: bytes, start: int, end: int, whole: bool) -> Part | None:
    blank = _BLANK.search(body, start, end)
    if blank is None:
        return Part(None, False, start, end, whole) if whole else None
    heading = _DISPOSITION.search(body, start, blank.start() + 1)
    parameters = {match[1].lower(): _value(match) for match in _PARAMETER.finditer(heading[1] if heading else b"")}
    return Part(parameters.get(b"name"), b"filename" in parameters, blank.end(), end, whole)


def _value(match: re.Match[bytes]) -> str:
    raw = match[3] if match[3] is not None else match[4] or b""
    if match[2]:
        raw = unquote_to_bytes(raw.rpartition(b"'")[2])
    return re.sub(rb"\\(.)", rb"\1", raw).decode("utf-8", "replace")
