"""Tricks of much that is harmless before, around or within what is not, and of odd shapes that readers take."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.differential.message import Trick, get, pct, plus, post
from tests.differential.tricks.documents import FORM, JSON, escaped
from tests.differential.tricks.forms import MULTIPART, one, part

Bytes = Callable[[str], bytes]


def _json(name: str, make: Bytes, kind: bytes | None = JSON) -> Trick:
    return Trick("json", name, lambda value: post(make(value), kind))


def _form(name: str, make: Bytes, kind: bytes | None = FORM) -> Trick:
    return Trick("form", name, lambda value: post(make(value), kind))


def _multi(name: str, make: Bytes, kind: bytes = MULTIPART) -> Trick:
    return Trick("multipart", name, lambda value: post(make(value), kind))


def _query(name: str, make: Bytes) -> Trick:
    return Trick("query", name, lambda value: get(b"/echo?" + make(value)))


def _text(value: str) -> bytes:
    return b'"' + escaped(value).encode() + b'"'


def _around(before: str, after: str) -> Bytes:
    """An array with the escaped value between two others."""
    return lambda v: f"[{before}".encode() + _text(v) + f"{after}]".encode()


_OBJECTS = '{"a":"x"},' * 1500
_LONG = "x y " * 5000
JSONS = (
    _json("thousands-of-objects-before", _around(_OBJECTS, "")),
    _json("thousands-of-objects-around", _around(_OBJECTS, "," + _OBJECTS[:-1])),
    _json("thousands-of-empty-objects-before", _around("{}," * 8000, "")),
    _json("thousands-of-names-before", lambda v: json.dumps({**{f"n{n}": n for n in range(1500)}, "q": v}).encode()),
    _json("thousands-of-names-after", lambda v: json.dumps({"q": v, **{f"n{n}": n for n in range(1500)}}).encode()),
    _json("as-a-name-after-thousands", lambda v: b"[" + _OBJECTS.encode() + b"{" + _text(v) + b":{}}]"),
    _json("as-a-name-of-nothing", lambda v: json.dumps({v: {}}).encode()),
    _json("as-a-name-of-an-empty-list", lambda v: json.dumps({"a": {v: []}}).encode()),
    _json("as-a-name-of-null", lambda v: json.dumps([{v: None}]).encode()),
    _json("long-string-before", _around(f'"{_LONG}",', "")),
    _json("long-string-after", _around("", f',"{_LONG}"')),
    _json("within-a-long-string", lambda v: b'["' + b"x y " * 4000 + escaped(v).encode() + b" z" * 4000 + b'"]'),
    _json("commas-in-strings-before", _around('", , ,",' * 2000, "")),
    _json("brackets-in-strings-before", _around('"}]{[",' * 2000, "")),
    _json("quotes-in-strings-before", _around('"\\"\\\\",' * 2000, "")),
    _json("backslashes-before-quotes", _around('"\\\\\\\\",' * 2000, "")),
    _json("half-a-pair-and-much-before", _around('"\\ud800",' * 1500, "")),
    _json("nan-and-much-before", _around("NaN," * 3000, "")),
    _json("blanks-and-much-before", _around(" 1 , " * 4000, "")),
    _json("name-twice-and-much-between", lambda v: b'{"q":[' + b"1," * 6000 + b'1],"q":' + _text(v) + b"}"),
    _json("open-name-twice", lambda v: b'{"q":1,"a":2,"q":[' + b"1," * 6000 + _text(v) + b"]}"),
    _json("deep-and-much-before", lambda v: b'{"a":[' * 150 + b"1," * 6000 + _text(v) + b"]}" * 150),
    _json("nine-hundred-deep", lambda v: b"[" * 900 + _text(v) + b"]" * 900),
    _json("name-with-a-quote-around", lambda v: b'{"a\\"b":[' + b"1," * 6000 + _text(v) + b"]}"),
    _json("empty-name-around", lambda v: b'{"":[' + b"1," * 6000 + _text(v) + b"]}"),
    _json("utf-16-and-much-before", lambda v: _around(_OBJECTS, "")(v).decode().encode("utf-16")),
    _json("utf-32-and-much-before", lambda v: _around(_OBJECTS[:9000], "")(v).decode().encode("utf-32-be")),
    _json("byte-order-mark-and-much-before", lambda v: b"\xef\xbb\xbf" + _around(_OBJECTS, "")(v)),
    _json("type-text-and-much-before", _around(_OBJECTS, ""), b"text/plain"),
    _json("type-form-and-much-before", _around(_OBJECTS, ""), FORM),
    _json("type-multipart-and-much-before", _around(_OBJECTS, ""), MULTIPART),
    _json("vertical-tab-before", lambda v: b"\x0b" + _around("", "")(v)),
)

FORMS = (
    _form("thousands-of-names-before", lambda v: b"a&" * 10_000 + b"q=" + pct(v)),
    _form("thousands-of-pairs-before", lambda v: b"a=b&" * 6000 + b"q=" + pct(v)),
    _form("thousands-of-other-pairs-before", lambda v: b"".join(b"a%d=b&" % n for n in range(2000)) + b"q=" + pct(v)),
    _form("thousands-of-brackets-before", lambda v: b"a[]=1&" * 6000 + b"q=" + pct(v)),
    _form("as-a-name-after-thousands", lambda v: b"a=b&" * 9000 + pct(v)),
    _form("encoded-name-after-thousands", lambda v: b"a=b&" * 9000 + b"%71=" + pct(v)),
    _form("long-value-and-plus", lambda v: b"q=" + b"x" * 9000 + b"+" + plus(v) + b"+" + b"x" * 9000),
    _form("escape-between-pieces", lambda v: b"q=" + b"x" * 2045 + pct(v) + b"x" * 9000),
    _form("raw-utf-8-and-much-before", lambda v: "ä=é&".encode() * 1500 + b"q=" + pct(v)),
    _form("equals-alone-before", lambda v: b"=&" * 9000 + b"q=" + pct(v)),
)

MULTIPARTS = (
    _multi("nine-hundred-before", lambda v: part(b"1", b'form-data; name="a"') * 900 + one(v)),
    _multi("value-within-a-long-one", lambda v: one("x " * 9000 + v + " x" * 9000)),
    _multi("tab-between", lambda v: one(v, b'form-data;\tname="q"')),
    _multi("semicolon-at-the-end", lambda v: one(v, b'form-data; name="q";')),
    _multi("file-and-much-before", lambda v: part(b"x y\n" * 5000, b'form-data; name="f"; filename="f"') + one(v)),
    _multi("empty-parts-before", lambda v: part(b"", b'form-data; name="a"') * 300 + one(v)),
)

QUERIES = (
    _query("thousands-of-names-before", lambda v: b"a&" * 10_000 + b"q=" + pct(v)),
    _query("thousands-of-pairs-before", lambda v: b"a=b&" * 6000 + b"q=" + pct(v)),
    _query("as-a-name-after-thousands", lambda v: b"a=b&" * 9000 + b"q=1&" + pct(v) + b"=&q=" + pct(v)),
)

TRICKS = (*JSONS, *FORMS, *MULTIPARTS, *QUERIES)
