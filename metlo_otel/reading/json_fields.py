"""Values of named fields in JSON text, and where they stand: in text cut anywhere, and in many documents in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from metlo_otel.reading.located import Located, Wanted

# A string, with what is missing at a cut allowed to be missing, and the colon that makes it a key.
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)(\s*:\s*)?', re.DOTALL)
_KEY = re.compile(rb'"([^"]*)"\s*:')
_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\]\r\n]*")
_QUERY = re.compile(rb'"query"\s*:\s*("(?:[^"\\]|\\.)*(?:"|\\?\Z))', re.DOTALL)  # GraphQL within JSON
_DOCUMENT = re.compile(rb'("\s*[{\[](?:[^"\\]|\\.)*(?:"|\\?\Z))', re.DOTALL)  # JSON in a string of JSON
_URL = re.compile(rb'("[^"\\\s=]{1,2000}=[^"\\\s]{0,2000}(?:"|\Z))')  # a URL or a form in one
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")


def located(body: bytes, wanted: Wanted) -> Iterator[Located]:
    """The values of wanted keys as they are written, however deep; what stands within one is not told by itself."""
    if b"\\" not in body and not any(map(wanted, map(_decoded, set(_KEY.findall(body))))):
        return  # cheap and sure: no escape could hide a key
    match = _STRING.search(body)
    while match:
        end = match.end()
        if match[2] is not None:
            name = _unescaped(_decoded(match[1]))
            if wanted(name) and end < len(body):
                start, end = end, _value_end(body, end)
                yield name, start, end
        match = _STRING.search(body, end)


def located_documents(body: bytes) -> Iterator[Located]:
    """The strings that hold JSON themselves, with their quotes."""
    return (("", *match.span(1)) for match in _DOCUMENT.finditer(body))


def located_urls(body: bytes) -> Iterator[Located]:
    """The strings, without escapes and blanks, that hold pairs as URLs and forms do, with their quotes."""
    return (("", *match.span(1)) for match in _URL.finditer(body))


def located_queries(body: bytes) -> Iterator[Located]:
    """The strings in which GraphQL is sent, with their quotes."""
    return (("query", *match.span(1)) for match in _QUERY.finditer(body))


def changed(written: bytes, change: Callable[[str], str]) -> bytes | None:
    """A string as it is written, maybe cut, with what it says changed; None where nobody can tell what that is."""
    whole = len(written) > 1 and written.endswith(b'"')
    quoted = written.decode("utf-8", "surrogateescape")
    try:
        text = json.loads(quoted if whole else _CUT_ESCAPE.sub("", quoted) + '"', strict=False)
    except ValueError:
        return None
    new = change(text)
    if new == text:
        return written
    spelled = json.dumps(new).encode()
    return spelled if whole else spelled[:-1]


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _value_end(body: bytes, start: int) -> int:
    """Where the value ends that begins at `start`: past its closing quote or bracket, or the text's end."""
    first = body[start : start + 1]
    if first == b'"':
        match = _STRING.match(body, start)
        return match.end() - len(match[2] or b"") if match else len(body)
    if first in (b"{", b"["):
        return _nested_end(body, start)
    scalar = _SCALAR.match(body, start)
    return scalar.end() if scalar else start


def _nested_end(body: bytes, start: int) -> int:
    depth = 0
    for match in _NESTING.finditer(body, start):
        token = match[0][:1]
        depth += (token in b"{[") - (token in b"}]")
        if depth == 0:
            return match.end()
    return len(body)
