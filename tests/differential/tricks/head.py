"""Tricks of headers and cookies."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from tests.differential.message import Message, Trick, get

Pairs = tuple[tuple[bytes, bytes], ...]


def _header(name: str, make: Callable[[str], Pairs]) -> Trick:
    return Trick("header", name, lambda value: get(b"/echo", *make(value)))


def _cookie(name: str, make: Callable[[str], str]) -> Trick:
    return Trick("cookie", name, lambda value: get(b"/echo", (b"Cookie", make(value).encode("latin-1"))))


def _wire(head: bytes) -> Message:
    return Message(wire=b"GET /echo HTTP/1.1\r\n" + head + b"\r\n\r\n")


def _octal(value: str) -> str:
    return "".join(f"\\{ord(char):03o}" for char in value)


HEADERS = (
    _header("plain", lambda v: ((b"X-Role", v.encode()),)),
    _header("lower-case", lambda v: ((b"x-role", v.encode()),)),
    _header("upper-case", lambda v: ((b"X-ROLE", v.encode()),)),
    _header("underscore", lambda v: ((b"X_Role", v.encode()),)),
    _header("underscore-lower", lambda v: ((b"x_role", v.encode()),)),
    _header("underscore-and-dash", lambda v: ((b"X-Role", b"user"), (b"X_Role", v.encode()))),
    _header("dash-and-underscore", lambda v: ((b"X_Role", v.encode()), (b"X-Role", b"user"))),
    _header("last-of-two", lambda v: ((b"X-Role", b"user"), (b"X-Role", v.encode()))),
    _header("first-of-two", lambda v: ((b"X-Role", v.encode()), (b"X-Role", b"user"))),
    _header("middle-of-three", lambda v: ((b"X-Role", b"a"), (b"X-Role", v.encode()), (b"X-Role", b"b"))),
    _header("two-cases", lambda v: ((b"x-role", b"user"), (b"X-ROLE", v.encode()))),
    _header("item-of-a-list", lambda v: ((b"X-Role", b"user, " + v.encode()),)),
    _header("first-item", lambda v: ((b"X-Role", v.encode() + b", user"),)),
    _header("item-without-blanks", lambda v: ((b"X-Role", b"a," + v.encode() + b",b"),)),
    _header("item-with-blanks", lambda v: ((b"X-Role", b"a ,  " + v.encode() + b"  , b"),)),
    _header("empty-items", lambda v: ((b"X-Role", b",,, " + v.encode() + b" ,,"),)),
    _header("list-and-repeated", lambda v: ((b"X-Role", b"a, b"), (b"X-Role", b"c," + v.encode()))),
    _header("blanks-around", lambda v: ((b"X-Role", b"   " + v.encode() + b"   "),)),
    _header("tab-before", lambda v: ((b"X-Role", b"\t" + v.encode()),)),
    _header("many-before", lambda v: (*[(b"X-A%d" % n, b"1") for n in range(60)], (b"X-Role", v.encode()))),
    _header("encoded-word", lambda v: ((b"X-Role", b"=?utf-8?q?" + v.encode() + b"?="),)),
    _header("percent-encoded", lambda v: ((b"X-Role", quote(v).encode()),)),
    _header("another-name", lambda v: ((b"X-Role-", v.encode()),)),
    _header("name-within", lambda v: ((b"A-X-Role", v.encode()),)),
    _header("latin-1-before", lambda v: ((b"X-A", b"\xe9"), (b"X-Role", v.encode()))),
    Trick("header", "no-blank", lambda v: _wire(b"X-Role:" + v.encode())),
    Trick("header", "blank-before-colon", lambda v: _wire(b"X-Role : " + v.encode())),
    Trick("header", "folded", lambda v: _wire(b"X-Role:\r\n " + v.encode())),
    Trick("header", "folded-with-a-tab", lambda v: _wire(b"X-Role: a,\r\n\t" + v.encode())),
    Trick("header", "bare-line-feed", lambda v: _wire(b"X-A: 1\nX-Role: " + v.encode())),
    Trick("header", "bare-carriage-return", lambda v: _wire(b"X-A: 1\rX-Role: " + v.encode())),
    Trick("header", "nul-before", lambda v: _wire(b"X-A: \0\r\nX-Role: " + v.encode())),
)

COOKIES = (
    _cookie("plain", lambda v: f"q={quote(v)}" if " " in v else f"q={v}"),
    _cookie("raw", lambda v: f"q={v}"),
    _cookie("second", lambda v: f"a=1; q={v}"),
    _cookie("last-of-two", lambda v: f"q=1; q={v}"),
    _cookie("first-of-two", lambda v: f"q={v}; q=1"),
    _cookie("quoted", lambda v: f'q="{v}"'),
    _cookie(
        "quoted-escapes", lambda v: 'q="' + "".join(f"\\{char}" if not char.isdigit() else char for char in v) + '"'
    ),
    _cookie("octal", lambda v: f'q="{_octal(v)}"'),
    _cookie("octal-first-letter", lambda v: f'q="{_octal(v[0])}{v[1:]}"'),
    _cookie("octal-without-quotes", lambda v: f"q={_octal(v)}"),
    _cookie("percent-encoded", lambda v: "q=" + "".join(f"%{ord(char):02x}" for char in v)),
    _cookie("no-blank-between", lambda v: f"a=1;q={v}"),
    _cookie("many-blanks", lambda v: f"a=1;    q  =  {v}   "),
    _cookie("comma-between", lambda v: f"a=1, q={v}"),
    _cookie("semicolons-before", lambda v: ";;;; ; q=" + v),
    _cookie("empty-before", lambda v: f"=; q={v}"),
    _cookie("no-name", lambda v: f"={v}"),
    _cookie("no-equals", lambda v: v),
    _cookie("broken-before", lambda v: f'a="x; q={v}'),
    _cookie("bad-name-before", lambda v: f"a[b]:c=1; q={v}"),
    _cookie("attributes", lambda v: f"$Version=1; q={v}; $Path=/"),
    _cookie("many-before", lambda v: "".join(f"a{n}=1; " for n in range(300)) + f"q={v}"),
    _cookie("long-before", lambda v: f"a={'x' * 3000}; q={v}"),
    _cookie("equals-within", lambda v: f"q=a={v}"),
    _cookie("latin-1-before", lambda v: f"a=\xe9; q={v}"),
    _cookie("json", lambda v: f'q={{"a":"{v}"}}'),
    _cookie("json-string", lambda v: f'q="{{\\"a\\":\\"{v}\\"}}"'),
    Trick("cookie", "two-headers", lambda v: get(b"/echo", (b"Cookie", b"a=1"), (b"Cookie", b"q=" + v.encode()))),
    Trick("cookie", "two-headers-first", lambda v: get(b"/echo", (b"Cookie", b"q=" + v.encode()), (b"Cookie", b"a=1"))),
    Trick("cookie", "upper-case-header", lambda v: get(b"/echo", (b"COOKIE", b"q=" + v.encode()))),
    Trick("cookie", "folded", lambda v: _wire(b"Cookie: a=1;\r\n q=" + v.encode())),
)

TRICKS = (*HEADERS, *COOKIES)
