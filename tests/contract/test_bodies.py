"""Request bodies of every kind are told as far as the app read them, and the app reads them as if nobody looked."""

from __future__ import annotations

import pytest

from tests.contract.http import Call, get, post, post_json
from tests.contract.shop import Shop

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=BOUND"
UPLOAD = (
    b'--BOUND\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n'
    b'--BOUND\r\nContent-Disposition: form-data; name="doc"; filename="a.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\xff\xfe\r\n--BOUND--\r\n"
)


@pytest.mark.parametrize(
    ("call", "route"),
    [
        (post_json("/json", {"name": "Bob", "tags": ["a", "b"], "nested": {"ok": True, "none": None}}), "/json"),
        (post_json("/json?debug=1", [{"id": 1}, {"id": "x"}]), "/json"),
        (post("/json", '{"s":"héllo 世界 \N{GRINNING FACE}"}'.encode(), "application/json"), "/json"),
        (post("/form", b"name=Bob+B&email=bob%40example.com&n=1&n=2", FORM), "/form"),
        (post("/echo?a=1&a=2", b"plain words", "text/plain"), "/echo"),
        (Call("PUT", "/echo", (("Content-Type", "text/plain"),), (b"one ", b"two ", b"three")), "/echo"),
        (Call("DELETE", "/echo"), "/echo"),
        (get("/echo"), "/echo"),
        (post("/raw", b"read seven bytes at a time", "text/plain"), "/raw"),
        (post("/lines", b"line one\nline two\n\nlast", "text/plain"), "/lines"),
    ],
    ids=["json", "json-array", "unicode", "form", "text", "pieces", "no-body", "get", "raw", "lines"],
)
def test_body_is_told(shop: Shop, call: Call, route: str) -> None:
    """A body that the app reads, in whatever manner, is told whole, and the app answers as without us."""
    assert shop.tells(call, route=route).status == 200


@pytest.mark.parametrize("path", ["/echo", "/raw", "/lines"])
def test_chunked_upload(shop: Shop, path: str) -> None:
    """An upload without a Content-Length is told as it was read, with its true size."""
    read = b"" if shop.way.name == "django-wsgi" else None  # Django takes a WSGI body without a length for empty
    call = Call("POST", path, (("Content-Type", "text/plain"),), (b"first\n", b"second\n", b"third"), chunked=True)
    assert shop.tells(call, route=path, read=read).status == 200


def test_multipart_without_files_content(shop: Shop) -> None:
    """Of an upload the fields are told, and the files by name and size only; the app gets every byte of them."""
    answer = shop.tells(
        post("/upload", UPLOAD, MULTIPART),
        route="/upload",
        request_body=UPLOAD.replace(b"\x00\x01\xff\xfe", b"[file, 4 bytes]").decode(),
        requestBodySize=len(UPLOAD),
    )
    assert answer.body == b'{"files": {"doc": 4}, "form": {"title": ["hello"]}}'


def test_binary_body_is_told_by_size(shop: Shop) -> None:
    """A binary body is told by its size and type, never as mangled text."""
    shop.tells(post("/raw", bytes(range(256))), route="/raw", request_body="", requestBodyBinary=True)


def test_body_that_the_app_never_reads(shop: Shop) -> None:
    """We read nothing on the app's behalf: what it leaves lying is told by its declared size alone."""
    call = post("/ignore", b"nobody wants to know", "text/plain")
    answer = shop.tells(call, route="/ignore", read=b"")
    if not shop.way.name.startswith("django-a"):  # Django takes a body in before it calls anybody
        assert answer.consumed == 0


def test_chunked_body_that_the_app_never_reads(shop: Shop) -> None:
    """Nor is anything read of an upload whose size nobody declared."""
    call = Call("POST", "/ignore", (), (b"nobody ", b"wants to know"), chunked=True)
    shop.tells(call, route="/ignore", read=b"")


def test_body_that_the_app_reads_in_part(shop: Shop) -> None:
    """What an app read of a body is told, marked as not being all of it."""
    call = Call("POST", "/first", (("Content-Type", "text/plain"),), (b"0123456789", b"abc"))
    shop.tells(call, route="/first", read=b"0123456789")


def test_body_beyond_max_body(shop: Shop) -> None:
    """The first MAX_BODY bytes are told, with the true size and a mark that there was more."""
    body = b"0123456789" * 1000
    shop.tells(
        post("/raw", body, "text/plain"),
        route="/raw",
        request_body=body[:5120].decode(),
        requestBodySize=10_000,
        requestBodyTruncated=True,
    )


def test_body_cut_within_a_character(shop: Shop) -> None:
    """A cut within a character leaves the character out, and no mangled one."""
    body = ("a" + "世" * 3000).encode()
    shop.tells(
        post("/raw", body, "text/plain; charset=utf-8"),
        route="/raw",
        request_body="a" + "世" * 1706,
        requestBodySize=9001,
        requestBodyTruncated=True,
    )
