"""Responses of every kind are told as the app made them, and reach the client untouched."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT
from tests.contract.http import Call, get
from tests.contract.shop import Shop, essence, told

# Django says that it reads the whole file, where its view is served over ASGI: with us as without us.
FILE_WARNING = "ignore:StreamingHttpResponse must consume synchronous iterators:Warning"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/stream", "/stream"),
        ("/sse", "/sse"),
        ("/large/0", "/large/{size}"),
        ("/large/5120", "/large/{size}"),
        ("/status/418", "/status/{code}"),
        ("/status/503", "/status/{code}"),
        ("/users/7", "/users/{id}"),
        ("/items/red%20shoe/parts/%E4%B8%96", "/items/{name}/parts/{part}"),
        ("/repeated", "/repeated"),
        ("/nope/nothing?x=1", None),
    ],
)
def test_response_is_told(shop: Shop, path: str, route: str | None) -> None:
    """Status, all headers (repeated ones too) and body are told, under the route's template."""
    shop.tells(get(path), route=route)


@pytest.mark.parametrize("status", [204, 304])
def test_response_without_a_body(shop: Shop, status: int) -> None:
    """A response that can have no body is told without one."""
    assert shop.tells(get(f"/status/{status}"), route="/status/{code}").body == b""


def test_head(shop: Shop) -> None:
    """HEAD is told with what the app made of it, but in Django: only a server drops a body that the app made."""
    answer, trace = shop.exchange(Call("HEAD", "/users/7"))
    expected = told(shop.way, Call("HEAD", "/users/7"), answer, route="/users/{id}")
    if shop.way.name == "flask":  # Werkzeug has dropped the body where a server sees it; the app made one
        expected["response"]["body"] = '{"id": 7}'
        expected["meta"]["responseBodySize"] = 9
    elif shop.way.name.startswith("django"):  # no server sends it, so it is not told
        expected["response"]["body"], expected["meta"]["responseBodySize"] = "", 0
    assert essence(trace) == expected


def test_gzipped_response(shop: Shop) -> None:
    """A compressed body is told as what it says, and stays compressed for the client."""
    document = script.DOCUMENT.decode()
    answer = shop.tells(get("/gzip"), route="/gzip", response_body=document)
    assert answer.body == script.GZIPPED


def test_binary_response(shop: Shop) -> None:
    """A binary body is told by its size and type."""
    answer = shop.tells(get("/binary"), route="/binary", response_body="", responseBodyBinary=True)
    assert answer.body == script.BINARY


def test_response_beyond_max_body(shop: Shop) -> None:
    """The first MAX_BODY bytes are told, with the true size and a mark that there was more."""
    answer = shop.tells(get("/large/9000"), route="/large/{size}", response_body="x" * 5120, responseBodyTruncated=True)
    assert answer.body == b"x" * 9000


def test_stream_beyond_max_body(shop: Shop) -> None:
    """So it is with a stream whose pieces lie across the limit."""
    SCRIPT.headers = (("Content-Type", "text/plain"),)
    SCRIPT.pieces, SCRIPT.streamed = (b"a" * 3000, b"b" * 3000, b"c" * 3000), True
    answer, trace = shop.exchange(get("/scripted"))
    assert answer.body == b"".join(SCRIPT.pieces)
    assert trace["response"]["body"] == "a" * 3000 + "b" * 2120
    assert (trace["meta"]["responseBodySize"], trace["meta"]["responseBodyTruncated"]) == (9000, True)


@pytest.mark.filterwarnings(FILE_WARNING)
def test_file(shop: Shop) -> None:
    """A file is told as any other body."""
    assert shop.tells(get("/file"), route="/file").body == script.DOCUMENT


@pytest.mark.filterwarnings(FILE_WARNING)
def test_file_that_the_server_sends(shop: Shop) -> None:
    """Where a server can send a file by itself it still does; the file is told by its size."""
    call = get("/file", sendfile=True)
    answer, trace = shop.exchange(call)
    assert answer.body == script.DOCUMENT
    if shop.way.is_async:
        assert essence(trace) == told(shop.way, call, answer, route="/file")
        return
    assert answer.sendfile
    unseen: dict[str, Any] = {"response_body": "", "responseBodyTruncated": True}
    assert essence(trace) == told(shop.way, call, answer, route="/file", **unseen)
