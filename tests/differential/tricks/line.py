"""Tricks of the request line: path, method and query."""

from __future__ import annotations

from collections.abc import Callable

from tests.differential.message import Message, Trick, get, pct, plus, post, step

FORM = b"application/x-www-form-urlencoded"
Bytes = Callable[[str], bytes]


def _path(name: str, make: Bytes) -> Trick:
    return Trick("path", name, lambda value: get(make(value)))


def _query(name: str, make: Bytes) -> Trick:
    return Trick("query", name, lambda value: get(b"/echo?" + make(value)))


def _method(name: str, make: Callable[[str], Message]) -> Trick:
    return Trick("method", name, make)


def _odd_case(value: bytes) -> bytes:
    return b"".join(bytes([byte]).lower() if place % 2 else bytes([byte]) for place, byte in enumerate(value))


PATHS = (
    _path("plain", lambda v: b"/" + step(v)),
    _path("slash-at-the-end", lambda v: b"/" + step(v) + b"/"),
    _path("slashes-at-the-end", lambda v: b"/" + step(v) + b"//"),
    _path("two-slashes", lambda v: b"//" + step(v)),
    _path("three-slashes", lambda v: b"///" + step(v)),
    _path("slashes-within", lambda v: b"/" + step(v).replace(b"/", b"//")),
    _path("dot", lambda v: b"/./" + step(v)),
    _path("dot-within", lambda v: b"/" + step(v).replace(b"/", b"/./")),
    _path("dot-at-the-end", lambda v: b"/" + step(v) + b"/."),
    _path("two-dots", lambda v: b"/x/../" + step(v)),
    _path("two-dots-at-the-root", lambda v: b"/../" + step(v)),
    _path("two-dots-at-the-end", lambda v: b"/" + step(v) + b"/x/.."),
    _path("two-dots-and-slashes", lambda v: b"/x/..//" + step(v)),
    _path("many-dots", lambda v: b"/a/b/c/../../../" + step(v)),
    _path("encoded-dot", lambda v: b"/%2e/" + step(v)),
    _path("encoded-dots", lambda v: b"/x/%2e%2e/" + step(v)),
    _path("half-encoded-dots", lambda v: b"/x/.%2E/" + step(v)),
    _path("dots-and-encoded-slash", lambda v: b"/x/..%2f" + step(v)),
    _path("encoded-slash-first", lambda v: b"/%2f" + step(v)),
    _path("encoded-slash-within", lambda v: b"/" + step(v).replace(b"/", b"%2F")),
    _path("encoded-slash-lower", lambda v: b"/" + step(v).replace(b"/", b"%2f")),
    _path("encoded-slash-at-the-end", lambda v: b"/" + step(v) + b"%2f"),
    _path("all-encoded", lambda v: b"/" + pct(v)),
    _path("all-encoded-lower", lambda v: b"/" + pct(v).lower()),
    _path("first-letter-encoded", lambda v: b"/" + pct(v[0]) + step(v[1:])),
    _path("encoded-twice", lambda v: b"/" + pct(v).replace(b"%", b"%25")),
    _path("encoded-three-times", lambda v: b"/" + pct(v).replace(b"%", b"%2525")),
    _path("double-encoded-dots", lambda v: b"/x/%252e%252e/" + step(v)),
    _path("double-encoded-slash", lambda v: b"/" + step(v).replace(b"/", b"%252f")),
    _path("absolute-form", lambda v: b"http://shop.example/" + step(v)),
    _path("absolute-form-with-port", lambda v: b"http://shop.example:80/" + step(v)),
    _path("absolute-form-upper", lambda v: b"HTTP://SHOP.EXAMPLE/" + step(v)),
    _path("absolute-form-and-slashes", lambda v: b"http://shop.example//" + step(v)),
    _path("absolute-form-of-another-host", lambda v: b"https://other.example/" + step(v)),
    _path("absolute-form-with-user", lambda v: b"http://a:b@shop.example/" + step(v)),
    _path("authority-alone", lambda v: b"//shop.example/" + step(v)),
    _path("empty-query", lambda v: b"/" + step(v) + b"?"),
    _path("query", lambda v: b"/" + step(v) + b"?a=b"),
    _path("query-with-a-path", lambda v: b"/" + step(v) + b"?/echo"),
    _path("two-questions", lambda v: b"/" + step(v) + b"??"),
    _path("fragment", lambda v: b"/" + step(v) + b"#echo"),
    _path("parameters", lambda v: b"/" + step(v) + b";a=b"),
    _path("parameters-within", lambda v: b"/" + step(v).replace(b"/", b";a=b/")),
    _path("dots-and-parameters", lambda v: b"/x/..;/" + step(v)),
    _path("backslash", lambda v: b"/\\" + step(v)),
    _path("backslashes-for-slashes", lambda v: b"/" + step(v).replace(b"/", b"\\")),
    _path("encoded-backslash", lambda v: b"/x/..%5c" + step(v)),
    _path("nul-at-the-end", lambda v: b"/" + step(v) + b"%00"),
    _path("blank-at-the-end", lambda v: b"/" + step(v) + b"%20"),
    _path("line-feed-at-the-end", lambda v: b"/" + step(v) + b"%0a"),
    _path("tab-before", lambda v: b"/%09" + step(v)),
    _path("overlong-slash", lambda v: b"/" + step(v).replace(b"/", b"%c0%af")),
    _path("percent-u", lambda v: b"/" + step(v).replace(b"/", b"%u002f")),
    _path("bad-percent-first", lambda v: b"/%zz/../" + step(v)),
    _path("bad-byte-first", lambda v: b"/%ff/../" + step(v)),
    _path("letter-of-two-bytes", lambda v: b"/caf%C3%A9/../" + step(v)),
    _path("byte-order-mark", lambda v: b"/%EF%BB%BF" + step(v)),
    _path("upper-case", lambda v: b"/" + step(v).upper()),
    _path("under-another-path", lambda v: b"/x/" + step(v)),
    _path("extension", lambda v: b"/" + step(v) + b".json"),
    _path("raw-utf-8-before", lambda v: "/é/../".encode() + step(v)),
)

QUERIES = (
    _query("plain", lambda v: b"q=" + plus(v)),
    _query("percent-twenty", lambda v: b"q=" + step(v)),
    _query("all-encoded", lambda v: b"q=" + pct(v)),
    _query("all-encoded-lower", lambda v: b"q=" + pct(v).lower()),
    _query("name-encoded", lambda v: b"%71=" + plus(v)),
    _query("second", lambda v: b"a=1&q=" + plus(v)),
    _query("last-of-two", lambda v: b"q=1&q=" + plus(v)),
    _query("first-of-two", lambda v: b"q=" + plus(v) + b"&q=1"),
    _query("middle-of-many", lambda v: b"q=1&" * 50 + b"q=" + plus(v) + b"&q=2" * 50),
    _query("many-others-before", lambda v: b"".join(b"a%d=1&" % n for n in range(900)) + b"q=" + plus(v)),
    _query("ampersands-before", lambda v: b"&" * 700 + b"q=" + plus(v)),
    _query("ampersands-after", lambda v: b"q=" + plus(v) + b"&" * 700),
    _query("question-first", lambda v: b"?q=" + plus(v)),
    _query("question-after-ampersand", lambda v: b"&?&q=" + plus(v)),
    _query("equals-before", lambda v: b"=&q=" + plus(v)),
    _query("equals-twice", lambda v: b"q==" + plus(v)),
    _query("equals-encoded", lambda v: b"q%3D" + plus(v)),
    _query("semicolon-before", lambda v: b"a=1;q=" + plus(v)),
    _query("semicolon-after", lambda v: b"q=" + plus(v) + b";a=1"),
    _query("semicolon-and-ampersand", lambda v: b"a=1;b&q=" + plus(v)),
    _query("ampersand-encoded", lambda v: b"a=1%26q=" + plus(v)),
    _query("bad-percent-before", lambda v: b"a=%&q=" + plus(v)),
    _query("bad-percent-in-name", lambda v: b"%zz=1&q=" + plus(v)),
    _query("bad-percent-at-the-end", lambda v: b"q=" + plus(v) + b"&%"),
    _query("bad-byte-before", lambda v: b"a=%ff&q=" + plus(v)),
    _query("bad-byte-in-name", lambda v: b"%ff=%fe&q=" + plus(v)),
    _query("nul-before", lambda v: b"a=%00&q=" + plus(v)),
    _query("raw-utf-8-before", lambda v: "a=é&q=".encode() + plus(v)),
    _query("raw-latin-1-before", lambda v: b"a=\xe9&q=" + plus(v)),
    _query("encoded-twice", lambda v: b"q=" + pct(v).replace(b"%", b"%25")),
    _query("percent-u", lambda v: b"q=" + b"".join(b"%%u%04x" % ord(char) for char in v)),
    _query("overlong", lambda v: b"q=%c1%a5" + plus(v[1:])),
    _query("name-and-blank", lambda v: b"q+=" + plus(v)),
    _query("blank-and-name", lambda v: b"+q=" + plus(v)),
    _query("brackets", lambda v: b"q[]=" + plus(v)),
    _query("index", lambda v: b"q[0]=" + plus(v)),
    _query("upper-case-name", lambda v: b"Q=" + plus(v)),
    _query("name-alone", lambda v: b"q&" + plus(v)),
    _query("value-as-name", lambda v: plus(v) + b"=q"),
    _query("value-alone", lambda v: plus(v)),
    _query("after-a-fragment", lambda v: b"#&q=" + plus(v)),
    _query("line-feed-before", lambda v: b"a=%0d%0a&q=" + plus(v)),
    _query("utf-16", lambda v: b"q=" + pct(v, "utf-16-le")),
    _query("utf-7", lambda v: b"q=" + plus(v.encode("utf-7").decode())),
    _query("long-before", lambda v: b"a=" + b"x" * 3000 + b"&q=" + plus(v)),
    _query("json", lambda v: b'{"q":"' + step(v) + b'"}'),
    _query(
        "full-width",
        lambda v: b"q=" + pct("".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in v)),
    ),
    Trick("query", "with-a-body", lambda v: post(b"q=1", FORM, target=b"/echo?q=" + plus(v))),
    Trick("query", "of-a-head", lambda v: get(b"/echo?q=" + plus(v), method=b"HEAD")),
    Trick("query", "of-options", lambda v: get(b"/echo?q=" + plus(v), method=b"OPTIONS")),
    Trick("query", "absolute-form", lambda v: get(b"http://shop.example/echo?q=" + plus(v))),
    Trick("query", "two-slashes", lambda v: get(b"//echo?q=" + plus(v))),
    *[
        Trick(
            "query",
            f"charset-{charset}",
            lambda v, charset=charset: get(  # type: ignore[misc]  # the usual way to bind a loop's value
                b"/echo?q=" + pct(v, charset), (b"Content-Type", b"text/plain; charset=" + charset.encode())
            ),
        )
        for charset in ("cp037", "utf-16-le", "utf-16", "utf-32", "utf-7", "latin-1")
    ],
    Trick(
        "query",
        "charset-utf-7-raw",
        lambda v: get(
            b"/echo?q=" + b"".join(b"+%s-" % _seven(char) for char in v),
            (b"Content-Type", b"text/plain; charset=utf-7"),
        ),
    ),
    Trick(
        "query",
        "charset-unicode-escape",
        lambda v: get(
            b"/echo?q=" + b"".join(b"\\u%04x" % ord(char) for char in v),
            (b"Content-Type", b"text/plain; charset=unicode_escape"),
        ),
    ),
)


def _seven(char: str) -> bytes:
    import base64

    return base64.b64encode(char.encode("utf-16-be")).rstrip(b"=")


METHODS = (
    _method("plain", lambda v: get(b"/echo", method=v.encode())),
    _method("lower-case", lambda v: get(b"/echo", method=v.lower().encode())),
    _method("odd-case", lambda v: get(b"/echo", method=_odd_case(v.encode()))),
    _method("with-a-body", lambda v: Message(v.encode(), b"/echo", ((b"Content-Type", FORM),), b"a=1")),
    _method(
        "lower-case-with-a-body", lambda v: Message(v.lower().encode(), b"/echo", ((b"Content-Type", FORM),), b"a=1")
    ),
    _method("blank-before", lambda v: Message(wire=b" " + v.encode() + b" /echo HTTP/1.1\r\n\r\n")),
    _method("two-blanks-after", lambda v: Message(wire=v.encode() + b"  /echo HTTP/1.1\r\n\r\n")),
    _method("line-before", lambda v: Message(wire=b"\n" + v.encode() + b" /echo HTTP/1.1\r\n\r\n")),
    _method("http-1.0", lambda v: Message(wire=v.encode() + b" /echo HTTP/1.0\r\n\r\n")),
    *[
        _method(f"override-{name.decode().lower()}", lambda v, name=name: post(b"a=1", FORM, (name, v.encode())))  # type: ignore[misc]  # as above
        for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
    ],
    _method("override-in-the-query", lambda v: post(b"a=1", FORM, target=b"/echo?_method=" + v.encode())),
    _method("override-in-the-form", lambda v: post(b"_method=" + v.encode(), FORM)),
)

TRICKS = (*PATHS, *QUERIES, *METHODS)
