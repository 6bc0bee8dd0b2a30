"""Tricks of bodies that are forms: urlencoded and multipart."""

from __future__ import annotations

import base64
import json
import quopri
import re
from collections.abc import Callable

from tests.differential.message import Trick, pct, plus, post

FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=B"
CONTROLS = bytes(range(1, 9)) * 300  # what no text has, so many that a body looks like a file
Bytes = Callable[[str], bytes]


def _form(name: str, make: Bytes, kind: bytes | None = FORM) -> Trick:
    return Trick("form", name, lambda value: post(make(value), kind))


def _multi(name: str, make: Bytes, kind: bytes = MULTIPART) -> Trick:
    return Trick("multipart", name, lambda value: post(make(value), kind))


_DECOY = b'--A\r\nContent-Disposition: form-data; name="z"\r\n\r\nx\r\n--A--\r\n'


def part(value: bytes, disposition: bytes = b'form-data; name="q"', more: bytes = b"") -> bytes:
    """One part with what is before and behind it."""
    return b"--B\r\nContent-Disposition: " + disposition + b"\r\n" + more + b"\r\n" + value + b"\r\n"


def one(value: str, disposition: bytes = b'form-data; name="q"', more: bytes = b"") -> bytes:
    """A whole body of one part."""
    return part(value.encode(), disposition, more) + b"--B--\r\n"


FORMS = (
    _form("plain", lambda v: b"q=" + plus(v)),
    _form("raw", lambda v: b"q=" + v.encode()),
    _form("all-encoded", lambda v: b"q=" + pct(v)),
    _form("all-encoded-lower", lambda v: b"q=" + pct(v).lower()),
    _form("first-letter-encoded", lambda v: b"q=" + pct(v[0]) + plus(v[1:])),
    _form("as-a-name", lambda v: pct(v) + b"=1"),
    _form("last-of-two", lambda v: b"q=1&q=" + pct(v)),
    _form("first-of-two", lambda v: b"q=" + pct(v) + b"&q=1"),
    _form("ampersands-before", lambda v: b"&" * 600 + b"q=" + pct(v)),
    _form("ampersands-after", lambda v: b"q=" + pct(v) + b"&" * 600),
    _form("many-fields-before", lambda v: b"".join(b"a%d=1&" % n for n in range(600)) + b"q=" + pct(v)),
    _form("many-fields-around", lambda v: b"a=1&" * 400 + b"q=" + pct(v) + b"&a=1" * 400),
    _form("long-before", lambda v: b"a=" + b"x" * 6000 + b"&q=" + pct(v)),
    _form("long-around", lambda v: b"a=" + b"x" * 6000 + b"&q=" + pct(v) + b"&b=" + b"x" * 6000),
    _form("long-value-around", lambda v: b"q=" + b"x" * 3000 + b"+" + pct(v) + b"+" + b"x" * 3000),
    _form("question-first", lambda v: b"?q=" + pct(v)),
    _form("semicolon-before", lambda v: b"a=1;q=" + pct(v)),
    _form("bad-percent-before", lambda v: b"%=%zz&q=" + pct(v)),
    _form("bad-byte-before", lambda v: b"a=%ff&q=" + pct(v)),
    _form("raw-bad-byte-before", lambda v: b"a=\xff&q=" + pct(v)),
    _form("control-characters-before", lambda v: b"a=" + CONTROLS + b"&q=" + pct(v)),
    _form("control-characters-cp037", lambda v: b"a=" + CONTROLS + b"&q=" + pct(v), FORM + b"; charset=cp037"),
    _form("nul-before", lambda v: b"a=%00&q=" + pct(v)),
    _form("raw-nul-before", lambda v: b"a=\0&q=" + pct(v)),
    _form("line-before", lambda v: b"\r\nq=" + pct(v)),
    _form("byte-order-mark", lambda v: b"\xef\xbb\xbfa=1&q=" + pct(v)),
    _form("brackets", lambda v: b"q%5B%5D=" + pct(v)),
    _form("encoded-twice", lambda v: b"q=" + pct(v).replace(b"%", b"%25")),
    _form("upper-case-type", lambda v: b"q=" + pct(v), FORM.upper()),
    _form("odd-case-type", lambda v: b"q=" + pct(v), b"Application/X-WWW-Form-URLencoded"),
    _form("type-with-blanks", lambda v: b"q=" + pct(v), b"  " + FORM + b"  ;  a = b"),
    _form("type-with-a-boundary", lambda v: b"q=" + pct(v), FORM + b"; boundary=B"),
    _form("charset-utf-8", lambda v: b"q=" + pct(v), FORM + b"; charset=utf-8"),
    _form("charset-unknown", lambda v: b"q=" + pct(v), FORM + b"; charset=nonsense"),
    _form("charset-declared-cp037", lambda v: b"q=" + pct(v), FORM + b"; charset=ibm037"),
    _form("charset-declared-utf-16", lambda v: b"q=" + pct(v), FORM + b"; charset=utf-16"),
    _form("charset-cp037", lambda v: b"q=" + pct(v, "cp037"), FORM + b"; charset=cp037"),
    _form("charset-cp037-whole", lambda v: f"q={v}".encode("cp037"), FORM + b"; charset=cp037"),
    _form("charset-utf-16", lambda v: b"q=" + pct(v, "utf-16-le"), FORM + b"; charset=utf-16-le"),
    _form("charset-utf-16-whole", lambda v: f"q={v}".encode("utf-16"), FORM + b"; charset=utf-16"),
    _form("charset-utf-7", lambda v: b"q=" + plus(v.encode("utf-7").decode()), FORM + b"; charset=utf-7"),
    _form("charset-latin-1", lambda v: b"a=%e9&q=" + pct(v), FORM + b'; charset="iso-8859-1"'),
    _form("type-text", lambda v: b"q=" + pct(v), b"text/plain"),
    _form("type-json", lambda v: b"q=" + pct(v), b"application/json"),
    _form("type-multipart", lambda v: b"q=" + pct(v), MULTIPART),
    _form("no-type", lambda v: b"q=" + pct(v), None),
    _form("empty-type", lambda v: b"q=" + pct(v), b""),
)

MULTIPARTS = (
    _multi("plain", one),
    _multi("last-of-two", lambda v: part(b"1") + one(v)),
    _multi("first-of-two", lambda v: part(v.encode()) + one("1")),
    _multi("many-before", lambda v: part(b"1", b'form-data; name="a"') * 120 + one(v)),
    _multi("control-characters-before", lambda v: part(CONTROLS, b'form-data; name="a"') + one(v)),
    _multi("control-characters-in-the-value", lambda v: one(CONTROLS.decode() + v)),
    _multi("long-before", lambda v: part(b"x" * 6000, b'form-data; name="a"') + one(v)),
    _multi("preamble", lambda v: b"x" * 1000 + b"\r\n" + one(v)),
    _multi("line-before", lambda v: b"\r\n" + one(v)),
    _multi("epilogue", lambda v: one(v) + b"x" * 1000),
    _multi("no-end", lambda v: part(v.encode())),
    _multi("cut-within-the-value", lambda v: part(v.encode())[:-2]),
    _multi("bare-line-feeds", lambda v: one(v).replace(b"\r\n", b"\n")),
    _multi("bare-line-feed-before-the-value", lambda v: one(v).replace(b"\r\n\r\n", b"\n\n")),
    _multi("bare-carriage-returns", lambda v: one(v).replace(b"\r\n", b"\r")),
    _multi("attachment", lambda v: one(v, b'attachment; name="q"')),
    _multi("upper-case-disposition", lambda v: one(v, b'FORM-DATA; NAME="q"')),
    _multi("name-without-quotes", lambda v: one(v, b"form-data; name=q")),
    _multi("name-in-single-quotes", lambda v: one(v, b"form-data; name='q'")),
    _multi("name-escaped", lambda v: one(v, b'form-data; name="\\q"')),
    _multi("name-with-a-star", lambda v: one(v, b"form-data; name*=utf-8''q")),
    _multi("name-with-a-star-too", lambda v: one(v, b"form-data; name=\"a\"; name*=utf-8''q")),
    _multi("name-in-pieces", lambda v: one(v, b'form-data; name*0="q"; name*1="r"')),
    _multi("name-percent-encoded", lambda v: one(v, b'form-data; name="%71"')),
    _multi("name-twice", lambda v: one(v, b'form-data; name="a"; name="q"')),
    _multi("no-name", lambda v: one(v, b"form-data")),
    _multi("empty-name", lambda v: one(v, b'form-data; name=""')),
    _multi("no-blanks", lambda v: one(v, b'form-data;name="q"')),
    _multi("many-blanks", lambda v: one(v, b'form-data   ;   name  =  "q"')),
    _multi("semicolon-in-the-name", lambda v: one(v, b'form-data; name="a;b"')),
    _multi("quote-in-the-name", lambda v: one(v, b'form-data; name="a\\"b"')),
    _multi("value-as-a-name", lambda v: one("1", b'form-data; name="' + v.encode() + b'"')),
    _multi("folded-disposition", lambda v: one(v, b'form-data;\r\n name="q"')),
    _multi("lower-case-header", lambda v: one(v).replace(b"Content-Disposition", b"content-disposition")),
    _multi("blank-before-colon", lambda v: one(v).replace(b"Disposition:", b"Disposition :")),
    _multi("disposition-twice", lambda v: one(v, more=b'Content-Disposition: form-data; name="r"\r\n')),
    _multi("header-before", lambda v: one(v).replace(b"--B\r\n", b"--B\r\nX-A: " + b"x" * 500 + b"\r\n", 1)),
    _multi("many-headers", lambda v: one(v, more=b"".join(b"X-%d: 1\r\n" % n for n in range(6)))),
    _multi("part-type-json", lambda v: one(v, more=b"Content-Type: application/json\r\n")),
    _multi("part-type-binary", lambda v: one(v, more=b"Content-Type: application/octet-stream\r\n")),
    _multi(
        "part-charset-cp037",
        lambda v: part(v.encode("cp037"), more=b"Content-Type: text/plain; charset=cp037\r\n") + b"--B--\r\n",
    ),
    _multi(
        "part-charset-utf-16",
        lambda v: part(v.encode("utf-16"), more=b"Content-Type: text/plain; charset=utf-16\r\n") + b"--B--\r\n",
    ),
    _multi("part-charset-declared", lambda v: one(v, more=b"Content-Type: text/plain; charset=cp037\r\n")),
    _multi(
        "base64", lambda v: one(base64.b64encode(v.encode()).decode(), more=b"Content-Transfer-Encoding: base64\r\n")
    ),
    _multi("base64-declared", lambda v: one(v, more=b"Content-Transfer-Encoding: base64\r\n")),
    _multi(
        "quoted-printable",
        lambda v: one(
            quopri.encodestring(v.encode(), quotetabs=True).decode(),
            more=b"Content-Transfer-Encoding: quoted-printable\r\n",
        ),
    ),
    _multi("file", lambda v: one(v, b'form-data; name="q"; filename="a.txt"', b"Content-Type: text/plain\r\n")),
    _multi("file-without-type", lambda v: one(v, b'form-data; name="q"; filename="a.txt"')),
    _multi("file-empty-name", lambda v: one(v, b'form-data; name="q"; filename=""')),
    _multi("file-name-star", lambda v: one(v, b"form-data; name=\"q\"; filename*=utf-8''a.txt")),
    _multi(
        "file-json",
        lambda v: one(
            json.dumps({"a": v}), b'form-data; name="q"; filename="a.json"', b"Content-Type: application/json\r\n"
        ),
    ),
    _multi("value-as-a-file-name", lambda v: one("1", b'form-data; name="q"; filename="' + v.encode() + b'"')),
    _multi("value-as-a-file-name-star", lambda v: one("1", b"form-data; name=\"q\"; filename*=utf-8''" + pct(v))),
    _multi("boundary-quoted", one, b'multipart/form-data; boundary="B"'),
    _multi("boundary-upper-case-name", one, b"multipart/form-data; BOUNDARY=B"),
    _multi("boundary-after-charset", one, b"multipart/form-data; charset=utf-8; boundary=B"),
    _multi("boundary-charset-cp037", one, b"multipart/form-data; charset=cp037; boundary=B"),
    *(
        _multi(
            f"charset-{name}",
            lambda v: part(v.encode("cp037")) + b"--B--\r\n",
            MULTIPART + b"; " + parameters,
        )
        for name, parameters in {
            "of-the-value": b"charset=CP037",
            "twice": b"charset=utf-8; charset=cp037",
            "twice-first": b"charset=cp037; charset=utf-8",
            "xcharset-before": b"xcharset=utf-8; charset=cp037",
            "in-a-value-before": b'a="charset=utf-8"; charset=cp037',
            "with-a-star": b"charset*=utf-8''cp037",
            "in-pieces": b"charset*0=cp0; charset*1=37",
            "with-blanks": b'charset="ebcdic cp us"',
            "with-slashes": b'charset="ebcdic/cp/us"',
            "with-many-dashes": b"charset=" + b"-" * 45 + b"cp037",
        }.items()
    ),
    *(
        _multi(f"no-utf-8-{name}", lambda v, disposition=disposition: part(b"\xff " + v.encode(), disposition))  # type: ignore[misc]
        for name, disposition in {
            "file": b'form-data; name="q"; filename="a.txt"',
            "file-empty-name": b'form-data; name="q"; filename=""',
            "file-empty-bare-name": b'form-data; name="q"; filename=',
            "file-empty-name-with-a-star": b"form-data; name=\"q\"; filename*=utf-8''",
            "file-name-and-empty-star": b'form-data; name="q"; filename="a"; filename*=utf-8\'\'',
            "file-name-in-pieces": b'form-data; name="q"; filename*0="a"',
            "file-name-within-a-value": b'form-data; name="q"; x="a\\\\"; filename="b"',
            "file-name-twice": b'form-data; name="q"; filename="a"; filename=""',
        }.items()
    ),
    *(
        _multi(f"long-{name}", lambda v, disposition=disposition: part(b"ab " * 6000 + v.encode(), disposition))  # type: ignore[misc]
        for name, disposition in {
            "file-empty-name": b'form-data; name="q"; filename=""',
            "file-name-within-a-value": b'form-data; name="q"; x="a\\\\"; filename="b"',
        }.items()
    ),
    _multi(
        "no-utf-8-file-second-disposition",
        lambda v: part(b"\xff " + v.encode(), more=b'Content-Disposition: form-data; name="q"; filename="a"\r\n'),
    ),
    *(
        _multi(
            f"decoy-{place}-{name}",
            lambda v, place=place: (  # type: ignore[misc]
                (_DECOY if place == "before" else b"") + one(v) + (_DECOY if place == "behind" else b"")
            ),
            b"multipart/form-data; " + parameters,
        )
        for place in ("before", "behind")
        for name, parameters in {
            "last": b"boundary=B; boundary=A",
            "first": b"boundary=A; boundary=B",
            "last-in-quotes": b"boundary='B'; boundary=A",
            "first-in-pieces": b"boundary*0=B; boundary=A",
            "last-in-pieces": b"boundary=A; boundary*0=B",
            "in-two-pieces": b"boundary*0=; boundary*1=B; boundary=A",
            "with-a-star": b"boundary=A; boundary*0*=utf-8''%42",
            "with-a-comma": b"boundary=A, boundary=B",
            "alone": b"boundary=A",
        }.items()
    ),
    _multi(
        "base64-noise",
        lambda v: one(
            "!".join(re.findall("..?.?", base64.b64encode(v.encode()).decode())),
            more=b"Content-Transfer-Encoding: base64; x\r\n",
        ),
    ),
    _multi("boundary-xboundary-before", one, b"multipart/form-data; xboundary=A; boundary=B"),
    _multi("boundary-twice", one, b"multipart/form-data; boundary=A; boundary=B"),
    _multi("boundary-twice-first", one, b"multipart/form-data; boundary=B; boundary=A"),
    _multi("boundary-with-a-star", one, b"multipart/form-data; boundary*=utf-8''B"),
    _multi("boundary-blanks", one, b"multipart/form-data ;  boundary = B "),
    _multi("boundary-escaped", one, b'multipart/form-data; boundary="\\B"'),
    _multi("boundary-comma", one, b"multipart/form-data, boundary=B"),
    _multi("boundary-no-semicolon", one, b"multipart/form-data boundary=B"),
    _multi("boundary-blanks-behind", lambda v: one(v).replace(b"--B\r\n", b"--B   \r\n")),
    _multi("upper-case-type", one, b"MULTIPART/FORM-DATA; boundary=B"),
    _multi("type-mixed", one, b"multipart/mixed; boundary=B"),
    _multi("type-text", one, b"text/plain"),
    _multi("type-form", one, FORM),
    _multi("no-boundary", one, b"multipart/form-data"),
    _multi("first-letter-encoded", lambda v: one("%" + v.encode().hex()[:2] + v[1:])),
    _multi("boundary-within", lambda v: one("--A\r\n" + v)),
    _multi(
        "nested",
        lambda v: b'--A\r\nContent-Disposition: form-data; name="q"\r\n\r\n' + one(v) + b"\r\n--A--\r\n",
        b"multipart/form-data; boundary=A",
    ),
    _multi("chunks-of-charset-field", lambda v: part(b"cp037", b'form-data; name="_charset_"') + one(v)),
)

TRICKS = (*FORMS, *MULTIPARTS)
