"""A request is read as apps may read it, whatever its headers declare, and what is not read is known."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import read_settings
from metlo_otel.reading import multipart
from metlo_otel.reading.fields import read_request
from metlo_otel.reading.forms import located_pairs
from metlo_otel.reading.graphql_values import located
from metlo_otel.reading.plausible import Plausible

WORD = "1' union select name from users--"
FORM, JSON, MULTIPART = "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=B"
TYPES = [
    "",
    FORM,
    JSON,
    MULTIPART,
    "text/plain",
    "application/xml",
    "image/png",
    "a/b; charset=ibm037",
    "application/x-ndjson",
]


def message(body: bytes, content_type: str = "", *headers: tuple[str, str]) -> Message:
    return Message((("Content-Type", content_type), *headers), body, len(body))


def texts(body: bytes, content_type: str = "", *headers: tuple[str, str]) -> list[str]:
    read = Plausible("reqBody", message(body, content_type, *headers), 65_536)
    return [str(value) for _, value, _ in read.fields()]


def record(body: bytes, content_type: str, query: str = "") -> Record:
    sent = message(body, content_type)
    return Record("POST", "http", "h", "/", (), sent, Message(), 200, ("192.0.2.1", 1), ("", None), raw_query=query)


def part(disposition: str, more: str = "", value: str = WORD, line: str = "\r\n") -> bytes:
    lines = ["--B", f"Content-Disposition: {disposition}", *([more] if more else []), "", value, "--B--", ""]
    return line.join(lines).encode()


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_is_found_under_any_type(content_type: str, encoding: str) -> None:
    """JSON is read whatever its type says, in every encoding that json.loads takes."""
    assert WORD in texts(json.dumps({"a": [{"q": WORD}]}).encode(encoding), content_type)


@pytest.mark.parametrize(
    "body",
    [
        part('attachment; name="q"'),
        part("form-data; name*=utf-8''q"),
        part('form-data;\r\n name="q"'),
        part('FORM-DATA ; name = "q"'),
        part('form-data; name*0="q"; name*1="r"'),
        part('form-data; name="q"', line="\n"),
        part('form-data; name="q"', line="\r"),
        b"a preamble\r\n" + part('form-data; name="q"'),
        part('form-data; name="q"', "X-Long: " + "x" * 9000),
        part(
            'form-data; name="q"', "Content-Transfer-Encoding: base64", "MScgdW5pb24gc2VsZWN0IG5hbWUgZnJvbSB1c2Vycy0t"
        ),
        part('form-data; name="q"; filename="a.txt"'),
    ],
)
@pytest.mark.parametrize(
    "boundary", ["boundary=B", 'boundary ="B"', "xboundary=A; boundary=B", "boundary=A; boundary=B"]
)
def test_multipart_as_three_libraries_read_it(body: bytes, boundary: str) -> None:
    """The value of a part is found, however its headers and the boundary are spelled."""
    assert any(WORD in text for text in texts(body, f"multipart/form-data; {boundary}"))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", WORD.encode()),
        ("gzip", WORD.encode()),
        ("gzip", gzip.compress(WORD.encode())),
        ("gzip", gzip.compress(b"x") + gzip.compress(WORD.encode())),
        ("deflate, gzip", gzip.compress(zlib.compress(WORD.encode()))),
        ("identity", WORD.encode()),
    ],
)
def test_encodings(coding: str, body: bytes) -> None:
    """An encoding is undone where it can be; else the bytes are read as they came, and that is known."""
    read = Plausible("reqBody", message(body, "text/plain", ("Content-Encoding", coding)), 65_536)
    assert any(WORD in str(value) for _, value, _ in read.fields())
    assert read.incomplete == (["encoding"] if body == WORD.encode() and coding != "identity" else [])


def test_a_bomb_is_bounded_and_known() -> None:
    """What unfolds beyond the bound is left out, with the reason."""
    read = Plausible("reqBody", message(gzip.compress(b"x" * 9_000_000), "", ("Content-Encoding", "gzip")), 65_536)
    assert max(map(len, read.texts)) <= 65_536
    assert list(read.fields())
    assert read.incomplete == ["body_size"]


@pytest.mark.parametrize("charset", ["idna", "punycode", "undefined"])
@pytest.mark.parametrize("kind", [FORM, JSON, "text/plain"])
def test_an_unusable_charset_is_known(charset: str, kind: str) -> None:
    """A codec of Python's that is no charset is not tried, and that it was named is known; a form is read in UTF-8."""
    body = b"q=" + WORD.encode()
    read = read_request(record(body, f"{kind}; charset={charset}"))
    assert any(WORD in str(value) for _, value, _ in read.inspected)
    assert read.incomplete == ("charset",)
    assert read_request(record(body, f"{kind}; charset=nonsense")).incomplete == ()


@pytest.mark.parametrize("before", [b"&" * 20_000, b"a=1&" * 900, b"\n"])
def test_nothing_before_a_form_hides_it(before: bytes) -> None:
    """Empty pieces count for nothing, and fields behind the first five hundred are read."""
    assert "x'y" in texts(before + b"q=x%27y", FORM)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_places_of_form_values(name: str, value: str) -> None:
    """The place of a pair's value holds just that."""
    text = ("a=1&" + name.replace("&", "").replace("=", "") + "=" + value.replace("&", "")).encode("utf-8", "replace")
    for _, start, end in located_pairs(text):
        assert text[start - 1 : start] == b"="
        assert text[end : end + 1] in (b"", b"&")


@pytest.mark.parametrize("value", ['"s"', '"""s"""', "12", "true", "[1, 2]", '{a: "}"}', '[{b: "]"}]', "ENUM"])
def test_places_of_graphql_values(value: str) -> None:
    """The place of a GraphQL value holds all of it, also behind a comment and as a default."""
    for text in (f"{{ f(password: {value}) }}", f"{{ f(password: # it\n {value}) }}", f"query($password: T = {value})"):
        assert any(text[start:end] == value for name, start, end in located(text) if name == "password")


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_cut_of_multipart(noise: bytes, cut: int) -> None:
    """The place of each part lies in the body, whatever is cut off or put around."""
    body = (part('form-data; name="q"') + noise + part("form-data; name=r"))[:cut]
    for each in multipart.all_parts(body, MULTIPART):
        assert 0 <= each.start <= each.end <= len(body)


SIGNS = [
    "'",
    '"',
    "<a ",
    "%27",
    "&#x27;",
    "{",
    "[",
    "&a=",
    "\\u0027",
    "--B\r\n",
    "\n",
    "\0",
    " or ",
    "é",
    "a" * 50,
    "1,",
]


def inspection() -> Inspection:
    given_ = {"api_key": "k", "metlo_host": "http://127.0.0.1:1", "detection": "block"}
    return Inspection(read_settings(given_, environ={}), lambda _: None)


INSPECTION = inspection()


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(SIGNS) | st.binary(max_size=4).map(lambda raw: raw.decode("latin-1")), max_size=60),
    st.sampled_from(TYPES),
    st.sampled_from(["", "gzip", "br", "deflate, gzip"]),
)
def test_hostile_requests_never_raise(pieces: list[str], content_type: str, coding: str) -> None:
    """No body under any type and coding raises, for rules as for detection."""
    body = "".join(pieces).encode("utf-8", "replace")
    read = Plausible("reqBody", message(body, content_type, ("Content-Encoding", coding)), 65_536)
    list(read.values())
    INSPECTION.threat(record(body, content_type))


CANARIES = [
    "S3cr3t-Canary-9f8e7d",
    "canarycanary",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.x",
    "my secret text",
    "4111111111111111",
]
SHAPES: list[Any] = [
    lambda c: c,
    lambda c: json.dumps({"field": c}),
    lambda c: json.dumps([c, {"a": [c]}]),
    lambda c: f"<a><b>{c}</b></a>",
    lambda c: part('form-data; name="field"', value=c).decode(),
    lambda c: f'{{"a":"{c}"}}\n{{"a":"{c}"}}',
    lambda c: f'query {{ user(id: "{c}") {{ name }} }}',
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_content_is_never_told_as_a_name(shape: Any, canary: str, content_type: str) -> None:
    """No key of data types, classes or attacks holds content, under any of the wrong types."""
    found = read_request(record(shape(canary).encode(), content_type, canary))
    assert not [key for key, _, _ in found.inspected if canary in key]


def test_what_is_read_is_not_read_again() -> None:
    """The fields of a short request are read once for whoever asks, those of a long one are not kept."""
    short, long = record(b'{"a": 1}', JSON, "q=1"), record(b'{"a": "' + b"x" * 9000 + b'"}', JSON, "q=1")
    assert read_request(short) is read_request(short)
    assert read_request(replace(short, raw_query="q=2")) is not read_request(short)
    assert read_request(long) is not read_request(long)
    assert list(read_request(long).inspected) == list(read_request(long).inspected)
