"""Bodies of 64 KiB that are made to be costly to read, each a kind of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

SIZE = 65_536
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MULTIPART = "multipart/form-data; boundary=B"
_PART = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and body of each, at most 64 KiB long."""
    for name, kind, body in (*_multiparts(), *_forms(), *_documents(), *_texts()):
        yield name, kind, body[:SIZE]


def _multiparts() -> Iterator[tuple[str, str, bytes]]:
    yield "1,150 parts", MULTIPART, (_PART + b"\r\n") * 1150
    yield "parts of tags", MULTIPART, (_PART + b"<script>\r\n") * 1000
    yield "parts without headers", MULTIPART, b"--B\r\n\r\nx\r\n" * 6000
    yield "boundaries alone", MULTIPART, b"--B\r\n" * 13_000
    yield "boundaries in a line", MULTIPART, b"--B" * 21_000


def _forms() -> Iterator[tuple[str, str, bytes]]:
    yield "6,000 pairs", FORM, b"&".join(b"a%d=b%d" % (number, number) for number in range(6000))
    yield "pairs of telling words", FORM, b"&".join(b"a%d=select+%d" % (number, number) for number in range(4500))
    yield "names alone", FORM, b"a&" * 32_000
    yield "pairs of a letter", FORM, b"a=b&" * 16_000
    yield "escapes", FORM, b"%61%3D=%3Cb%3E+1&" * 3800
    yield "pairs in an odd charset", FORM + "; charset=ibm037", b"a=%27&" * 10_900
    yield "pairs said to be text", "text/plain", b"a=b&" * 16_000
    yield "pairs said to be JSON", JSON, b"a=b&" * 16_000


def _documents() -> Iterator[tuple[str, str, bytes]]:
    yield "odd keys", JSON, json.dumps({f"a b {number}": 1 for number in range(4500)}).encode()
    yield "odd keys, cut", JSON, json.dumps({f"a'b<{number}": "x" for number in range(5000)}).encode()
    yield "telling strings", JSON, json.dumps([f"select {number}'" for number in range(4000)]).encode()
    yield "telling strings, cut", JSON, json.dumps([f"select {number}'" for number in range(5000)]).encode()
    yield "empty objects", JSON, b"[" + b",".join([b"{}"] * 20_000) + b"]"
    yield "objects", JSON, b"[" + b",".join([b'{"a":"x"}'] * 6500) + b"]"
    yield "many keys", JSON, b"{" + b",".join(b'"%d":1' % number for number in range(7000)) + b"}"
    yield "many strings", JSON, b"[" + b",".join([b'"x y"'] * 10_000) + b"]"
    yield "nested arrays", JSON, b"[" * 30_000 + b"]" * 30_000
    yield "nested arrays, cut", JSON, b"[" * SIZE
    yield "lines", "application/x-ndjson", b'{"a":"x"}\n' * 6500
    yield "short lines", "text/plain", b"{}\n" * 21_000
    yield "broken lines", JSON, b"[\n" * 32_000
    yield "halves of pairs", JSON, b'{"a":"' + b"\\ud800" * 10_000 + b'"}'
    yield "UTF-16", JSON, ('["' + "é'" * 15_000 + '"]').encode("utf-16")


def _texts() -> Iterator[tuple[str, str, bytes]]:
    yield "quotes", "text/plain", b"' or " * 13_000
    yield "escaped quotes", "text/plain", b"%27" * 21_000
    yield "tables", "text/plain", b"1,2,'a',\n" * 7000
    yield "tags", "application/xml", b"<a b='c'>x</a>" * 4600
    yield "every byte", "", bytes(range(256)) * 256
    yield "control characters", "", b"\1select a from '\1" * 3900
