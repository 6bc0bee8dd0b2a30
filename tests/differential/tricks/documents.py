"""Tricks of bodies that are JSON or text, and of how bodies are packed, encoded and sent."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

from tests.differential.message import Message, Trick, pct, post
from tests.differential.tricks.forms import CONTROLS

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
Bytes = Callable[[str], bytes]


def _json(name: str, make: Bytes, kind: bytes | None = JSON) -> Trick:
    return Trick("json", name, lambda value: post(make(value), kind))


def _packed(name: str, make: Bytes, coding: bytes, kind: bytes = JSON) -> Trick:
    return Trick("packed", name, lambda value: post(make(value), kind, (b"Content-Encoding", coding)))


def plain(value: str) -> bytes:
    """An object with the value."""
    return json.dumps({"q": value}).encode()


def escaped(value: str) -> str:
    """The value, each character as an escape."""
    return "".join(f"\\u{ord(char):04x}" for char in value)


def raw_deflate(data: bytes) -> bytes:
    """Deflate without zlib's head, as some clients send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


JSONS = (
    _json("plain", plain),
    _json("escaped", lambda v: b'{"q":"' + escaped(v).encode() + b'"}'),
    _json("escaped-upper", lambda v: b'{"q":"' + escaped(v).encode().upper().replace(b"\\U", b"\\u") + b'"}'),
    _json("first-letter-escaped", lambda v: b'{"q":"' + escaped(v[0]).encode() + v[1:].encode() + b'"}'),
    _json("as-a-name", lambda v: json.dumps({v: 1}).encode()),
    _json("as-an-escaped-name", lambda v: b'{"' + escaped(v).encode() + b'":1}'),
    _json("scalar", lambda v: json.dumps(v).encode()),
    _json("escaped-scalar", lambda v: b'"' + escaped(v).encode() + b'"'),
    _json("list", lambda v: json.dumps([v]).encode()),
    _json("twelfth-item", lambda v: b"[" + b"1," * 11 + b'"' + escaped(v).encode() + b'"]'),
    _json("thousandth-item", lambda v: b"[" + b"1," * 999 + b'"' + escaped(v).encode() + b'"]'),
    _json("nested", lambda v: json.dumps({"a": [{"b": {"c": v}}]}).encode()),
    _json("deep", lambda v: b"[" * 60 + b'"' + escaped(v).encode() + b'"' + b"]" * 60),
    _json("very-deep", lambda v: b'{"a":' * 200 + b'"' + escaped(v).encode() + b'"' + b"}" * 200),
    _json("last-of-two-names", lambda v: b'{"q":1,"q":"' + escaped(v).encode() + b'"}'),
    _json("first-of-two-names", lambda v: b'{"q":"' + escaped(v).encode() + b'","q":1}'),
    _json(
        "many-names-before",
        lambda v: b"{" + b"".join(b'"a%d":0,' % n for n in range(600)) + b'"q":"' + escaped(v).encode() + b'"}',
    ),
    _json("blanks-before", lambda v: b" " * 6000 + b'{"q":"' + escaped(v).encode() + b'"}'),
    _json("lines-before", lambda v: b"\r\n\t" * 100 + plain(v)),
    _json("long-before", lambda v: b'{"a":"' + b"x" * 6000 + b'","q":"' + escaped(v).encode() + b'"}'),
    _json(
        "long-around",
        lambda v: b'{"a":"' + b"x" * 6000 + b'","q":"' + escaped(v).encode() + b'","b":"' + b"x" * 6000 + b'"}',
    ),
    _json("blanks-within", lambda v: b'{ "q" \n:\t "' + escaped(v).encode() + b'" }'),
    _json("big-number-before", lambda v: b'{"a":' + b"9" * 400 + b',"q":"' + escaped(v).encode() + b'"}'),
    _json("huge-number-before", lambda v: b'{"a":' + b"9" * 5000 + b',"q":"' + escaped(v).encode() + b'"}'),
    _json("exponent-before", lambda v: b'{"a":1e999,"q":"' + escaped(v).encode() + b'"}'),
    _json("nan-before", lambda v: b'{"a":NaN,"q":"' + escaped(v).encode() + b'"}'),
    _json("infinity-before", lambda v: b'{"a":-Infinity,"q":"' + escaped(v).encode() + b'"}'),
    _json("half-a-pair-before", lambda v: b'{"a":"\\ud800","q":"' + escaped(v).encode() + b'"}'),
    _json("nul-escape-before", lambda v: b'{"a":"\\u0000","q":"' + escaped(v).encode() + b'"}'),
    _json("slash-escape-before", lambda v: b'{"a":"\\/","q":"' + escaped(v).encode() + b'"}'),
    _json("comment-before", lambda v: b'/* */{"q":"' + escaped(v).encode() + b'"}'),
    _json("comma-at-the-end", lambda v: b'{"q":"' + escaped(v).encode() + b'",}'),
    _json("single-quotes", lambda v: b"{'q':'" + v.encode() + b"'}"),
    _json("text-after", lambda v: b'{"q":"' + escaped(v).encode() + b'"} x'),
    _json("two-documents", lambda v: b'{"a":1}\n{"q":"' + escaped(v).encode() + b'"}'),
    _json("cut-off", lambda v: b'{"q":"' + escaped(v).encode()),
    _json("bad-byte-before", lambda v: b'{"a":"\xff","q":"' + escaped(v).encode() + b'"}'),
    _json("latin-1-before", lambda v: b'{"a":"\xe9","q":"' + escaped(v).encode() + b'"}'),
    _json("byte-order-mark", lambda v: b"\xef\xbb\xbf" + b'{"q":"' + escaped(v).encode() + b'"}'),
    _json("utf-16", lambda v: plain(v).decode().encode("utf-16")),
    _json("utf-16-le", lambda v: plain(v).decode().encode("utf-16-le")),
    _json("utf-16-be", lambda v: plain(v).decode().encode("utf-16-be")),
    _json("utf-32", lambda v: plain(v).decode().encode("utf-32")),
    _json("utf-32-le", lambda v: plain(v).decode().encode("utf-32-le")),
    _json("utf-32-be", lambda v: plain(v).decode().encode("utf-32-be")),
    _json("utf-16-declared-utf-8", lambda v: plain(v).decode().encode("utf-16"), JSON + b"; charset=utf-8"),
    _json("charset-cp037", lambda v: plain(v).decode().encode("cp037"), JSON + b"; charset=cp037"),
    _json("charset-utf-7", lambda v: plain(v).decode().encode("utf-7"), JSON + b"; charset=utf-7"),
    _json("declared-cp037", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', JSON + b"; charset=ibm037"),
    _json("declared-utf-16", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', JSON + b"; charset=utf-16"),
    _json("declared-nonsense", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', JSON + b"; charset=nonsense"),
    _json("type-text", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"text/plain"),
    _json("type-form", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', FORM),
    _json("type-multipart", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"multipart/form-data; boundary=B"),
    _json("type-problem", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"application/problem+json"),
    _json("type-upper-case", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', JSON.upper()),
    _json("type-binary", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"application/octet-stream"),
    _json("type-image", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"image/png"),
    _json("type-broken", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"application/json;;;"),
    _json("no-type", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', None),
    _json("empty-type", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b""),
    _json("json-in-a-string", lambda v: json.dumps({"a": json.dumps({"q": v})}).encode()),
    _json("nan-and-a-twelfth-item", lambda v: b"[NaN," + b"0," * 11 + json.dumps(v).encode() + b"]"),
    _json("many-numbers-before", lambda v: b"[" + b"0," * 5000 + json.dumps(v).encode() + b"]"),
    _json("many-objects-before", lambda v: b"[" + b"{}," * 1500 + json.dumps(v).encode() + b"]"),
    _json("form-in-json", lambda v: json.dumps({"a": "q=" + pct(v).decode()}).encode()),
    _json("graphql", lambda v: json.dumps({"query": f'{{user(name:"{v}"){{id}}}}'}).encode()),
)

TEXTS = (
    Trick("text", "plain", lambda v: post(v.encode(), b"text/plain")),
    Trick("text", "xml", lambda v: post(f"<a>{v}</a>".encode(), b"application/xml")),
    Trick("text", "no-type", lambda v: post(v.encode(), None)),
    Trick("text", "binary-type", lambda v: post(v.encode(), b"application/octet-stream")),
    Trick("text", "image-type", lambda v: post(v.encode(), b"image/png")),
    Trick("text", "nul-before", lambda v: post(b"\0" + v.encode(), b"text/plain")),
    Trick("text", "bad-byte-before", lambda v: post(b"\xff" + v.encode(), b"text/plain")),
    Trick("text", "control-characters-before", lambda v: post(CONTROLS + v.encode(), b"text/plain")),
    Trick(
        "text", "control-characters-binary", lambda v: post(b"\0" + CONTROLS + v.encode(), b"application/octet-stream")
    ),
    Trick("text", "control-characters-cp037", lambda v: post(CONTROLS + v.encode(), b"text/plain; charset=cp037")),
    Trick("text", "long-before", lambda v: post(b"x " * 3000 + v.encode(), b"text/plain")),
    Trick("text", "long-around", lambda v: post(b"x " * 3000 + v.encode() + b" x" * 3000, b"text/plain")),
    Trick("text", "of-a-get", lambda v: Message(b"GET", b"/echo", ((b"Content-Type", b"text/plain"),), v.encode())),
    Trick("text", "of-a-put", lambda v: Message(b"PATCH", b"/echo", ((b"Content-Type", b"text/plain"),), v.encode())),
)

PACKED = (
    _packed("gzip", lambda v: gzip.compress(plain(v)), b"gzip"),
    _packed("x-gzip", lambda v: gzip.compress(plain(v)), b"x-gzip"),
    _packed("gzip-upper-case", lambda v: gzip.compress(plain(v)), b"GZIP"),
    _packed("deflate", lambda v: zlib.compress(plain(v)), b"deflate"),
    _packed("deflate-raw", lambda v: raw_deflate(plain(v)), b"deflate"),
    _packed("gzip-twice", lambda v: gzip.compress(gzip.compress(plain(v))), b"gzip, gzip"),
    _packed("gzip-and-deflate", lambda v: gzip.compress(zlib.compress(plain(v))), b"deflate, gzip"),
    _packed("gzip-two-members", lambda v: gzip.compress(b" ") + gzip.compress(plain(v)), b"gzip"),
    _packed("gzip-cut-off", lambda v: gzip.compress(plain(v))[:-6], b"gzip"),
    _packed("gzip-much-before", lambda v: gzip.compress(b" " * 20_000 + plain(v)), b"gzip"),
    _packed("gzip-form", lambda v: gzip.compress(b"q=" + pct(v)), b"gzip", FORM),
    _packed("gzip-declared", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"gzip"),
    _packed("br-declared", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"br"),
    _packed("zstd-declared", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"zstd"),
    _packed("identity", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"identity"),
    _packed("nonsense", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b"nonsense"),
    _packed("empty", lambda v: b'{"q":"' + escaped(v).encode() + b'"}', b""),
    _packed("deflate-declared-form", lambda v: b"q=" + pct(v), b"deflate", FORM),
)


def _chunked(name: str, chunks: Callable[[bytes], bytes], head: bytes = b"Transfer-Encoding: chunked") -> Trick:
    def build(value: str) -> Message:
        line = b"POST /echo HTTP/1.1\r\nContent-Type: application/json\r\n" + head + b"\r\n\r\n"
        return Message(b"POST", wire=line + chunks(plain(value)))

    return Trick("transfer", name, build)


def _chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


TRANSFERS = (
    _chunked("chunked", lambda data: _chunk(data) + b"0\r\n\r\n"),
    _chunked("one-byte-chunks", lambda data: b"".join(_chunk(bytes([byte])) for byte in data) + b"0\r\n\r\n"),
    _chunked("extension", lambda data: _chunk(data, b";a=b") + b"0\r\n\r\n"),
    _chunked("quoted-extension", lambda data: _chunk(data, b';a="b;c"') + b"0;x\r\n\r\n"),
    _chunked("upper-case-size", lambda data: b"%X\r\n%s\r\n0\r\n\r\n" % (len(data), data)),
    _chunked("zeros-before-size", lambda data: b"000%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)),
    _chunked("trailer", lambda data: _chunk(data) + b"0\r\nX-A: 1\r\n\r\n"),
    _chunked("upper-case-coding", lambda data: _chunk(data) + b"0\r\n\r\n", b"Transfer-Encoding: CHUNKED"),
    _chunked("blank-before-colon", lambda data: _chunk(data) + b"0\r\n\r\n", b"Transfer-Encoding : chunked"),
    _chunked("identity-too", lambda data: _chunk(data) + b"0\r\n\r\n", b"Transfer-Encoding: identity, chunked"),
    _chunked(
        "length-too", lambda data: _chunk(data) + b"0\r\n\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked"
    ),
    _chunked("two-lengths", lambda data: data, b"Content-Length: 5\r\nContent-Length: 70"),
    _chunked("length-with-plus", lambda data: data, b"Content-Length: +70"),
    _chunked("line-feeds", lambda data: (_chunk(data) + b"0\r\n\r\n").replace(b"\r\n", b"\n")),
)

TRICKS = (*JSONS, *TEXTS, *PACKED, *TRANSFERS)
