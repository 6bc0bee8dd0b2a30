"""Whatever a client sends, the app sees what it would have seen without us, and what can be told is told."""

from __future__ import annotations

import pytest

from tests.contract.http import Call, Headers, get, post
from tests.contract.shop import Shop


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("evil.example\r\nX-Injected: 1", "evil.exampleX-Injected:1"),
        ("\r\n", "198.51.100.1"),
        ("", None),
        ("shop example", "shopexample"),
        ("shop.example:notaport", "shop.example:notaport"),
        ("[::1]:8080", "[::1]:8080"),
        ("a" * 300, "a" * 300),
    ],
    ids=["crlf", "only-crlf", "empty", "space", "port", "ipv6", "long"],
)
def test_host(shop: Shop, host: str, told: str | None) -> None:
    """No Host header can make a trace that a backend dies of, or disturb the app."""
    _, trace = shop.exchange(get("/users/7", ("Host", host)))
    found = trace["request"]["url"]["host"]
    assert found
    assert told in (None, found)


@pytest.mark.parametrize(
    "headers",
    [
        (("X-Latin", "caf\xe9"), ("X-Utf8", "caf\xc3\xa9")),
        (("X-Control", "a\x00b\x01c"), ("X-Tab", "a\tb")),
        (("X-Long", "x" * 70_000),),
        (("X Y", "space in the name"), ("", "no name"), ("X-Ümlaut".encode().decode("latin-1"), "1")),
        (("Cookie", "=; ;;a; =b; c==d"), ("Authorization", "")),
        (("Content-Type", ";;;"), ("Content-Encoding", "gzip, br, nonsense")),
        (("Content-Type", "multipart/form-data"), ("X-Forwarded-For", "not, an, address,,")),
        (("traceparent", "00-zz-zz-zz"), ("tracestate", "=,=,=")),
    ],
    ids=["bytes", "control", "long", "names", "cookies", "types", "boundary", "trace"],
)
def test_headers(shop: Shop, headers: Headers) -> None:
    """Malformed headers reach the app as without us and are told as text."""
    _, trace = shop.exchange(Call("POST", "/raw", headers, (b"body",)))
    assert len(trace["request"]["headers"]) >= len(headers)


@pytest.mark.parametrize("length", ["3", "10", "100", "-1", "abc", "1e3", "99999999999999999999", "", " 4 ", "4, 4"])
def test_content_length_that_lies(shop: Shop, length: str) -> None:
    """A Content-Length that is no true one is the app's and the server's affair; we neither wait for bytes nor fail."""
    call = post("/raw", b"body", "text/plain", ("Content-Length", length))
    answer, trace = shop.exchange(call)
    assert trace["response"]["status"] == answer.status
    assert "body".startswith(trace["request"]["body"])
    assert trace["meta"]["requestBodySize"] >= len(trace["request"]["body"])


def test_repeated_content_length(shop: Shop) -> None:
    """Two lengths that contradict each other are both told, and neither is believed."""
    call = post("/ignore", b"body", "text/plain", ("Content-Length", "4"), ("Content-Length", "400"))
    _, trace = shop.exchange(call)
    assert trace["meta"]["requestBodySize"] in (0, 4)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"a": "\xff\xfe"}'),
        ("application/x-www-form-urlencoded", b"a=%zz&%=&&=&b=%ff"),
        ("multipart/form-data; boundary=B", b"--B\r\nno headers at all"),
        ("text/plain; charset=nonsense", b"caf\xc3\xa9"),
        ("text/plain; charset=utf-16", "café".encode("utf-16")),
        ("application/json", b'{"a":' * 2000),
    ],
    ids=["utf8", "form", "multipart", "charset", "utf16", "deep"],
)
def test_body(shop: Shop, kind: str, body: bytes) -> None:
    """A broken body reaches the app as it is, and its size is told whatever its text."""
    _, trace = shop.exchange(post("/raw", body, kind))
    assert trace["meta"]["requestBodySize"] == len(body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_body_that_is_not_encoded_as_said(shop: Shop, encoding: str) -> None:
    """A body that is not compressed as its header says is passed on and told by its size."""
    _, trace = shop.exchange(post("/raw", b"plain all the same", "text/plain", ("Content-Encoding", encoding)))
    assert trace["meta"]["requestBodySize"] == 18
