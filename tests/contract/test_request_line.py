"""Method, address, query and headers are told as they came, decoded where a reader wants them decoded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.http import Call, Headers, get, post
from tests.contract.shop import Shop, essence, given_headers, told

ROUTE = "/echo"


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("q=shoes&page=2&tag=a&tag=b", [("q", "shoes"), ("page", "2"), ("tag", "a"), ("tag", "b")]),
        ("q=caf%C3%A9%20%26+tea&x=a%3Db", [("q", "café & tea"), ("x", "a=b")]),
        ("flag&empty=&=nameless&&", [("flag", ""), ("empty", ""), ("", "nameless")]),
        ("a%5Bb%5D=1&%E4%B8%96=%F0%9F%98%80", [("a[b]", "1"), ("世", "😀")]),
        ("broken=%zz%4&half=%C3&raw=%FF%FE", [("broken", "%zz%4"), ("half", "\ufffd"), ("raw", "\ufffd\ufffd")]),
    ],
    ids=["repeated", "encoded", "empty", "unicode", "broken"],
)
def test_query(shop: Shop, query: str, parameters: list[tuple[str, str]]) -> None:
    """Parameters are told decoded, in their order, repeated ones each; a broken encoding is told as far as it goes."""
    _, trace = shop.exchange(get(f"/echo?{query}"))
    assert trace["request"]["url"]["parameters"] == [{"name": name, "value": value} for name, value in parameters]


def test_path_is_decoded(shop: Shop) -> None:
    """The path is told decoded, in the form that a backend takes, without its query."""
    _, trace = shop.exchange(get("/caf%C3%A9/a%20b/%3Cscript%3E?x=1"))
    assert trace["request"]["url"]["path"] == "/café/a b/%3Cscript%3E"


@pytest.mark.parametrize("path", ["//nothing///here", "/a%5Cb", "/..%2f..%2fetc/passwd", "/%00", "/%ff%fe"])
def test_strange_path(shop: Shop, path: str) -> None:
    """A path that a backend could not take is told in a form that it can, and answered as without us."""
    _, trace = shop.exchange(get(path))
    assert trace["request"]["url"]["path"].startswith("/")


def test_headers(shop: Shop) -> None:
    """Headers are told with their values, repeated ones and cookies included."""
    headers: Headers = (
        ("User-Agent", "client/1.0"),
        ("X-Tag", "a"),
        ("X-Tag", "b"),
        ("Cookie", "sid=1; theme=dark"),
        ("Authorization", "Bearer abc"),
        ("X-Empty", ""),
    )
    shop.tells(Call("GET", "/echo", headers), route=ROUTE)


@pytest.mark.parametrize(
    ("client", "server", "told_client", "told_server"),
    [
        (("203.0.113.9", 1), ("198.51.100.1", 65535), ("203.0.113.9", 1), ("198.51.100.1", 65535)),
        (("2001:db8::1", 443), ("::1", 80), ("2001:db8::1", 443), ("::1", 80)),
        (("203.0.113.9", -1), ("198.51.100.1", 99999999999), ("203.0.113.9", None), ("198.51.100.1", None)),
        (("", ""), ("", ""), ("", None), ("", None)),
        (("203.0.113.9", "http"), ("shop.example", "x"), ("203.0.113.9", None), ("shop.example", None)),
    ],
    ids=["usual", "ipv6", "out-of-range", "empty", "words"],
)
def test_addresses(shop: Shop, client: Any, server: Any, told_client: Any, told_server: Any) -> None:
    """Who asked whom is told; a port that is none is told as unknown and disturbs nobody."""
    _, trace = shop.exchange(Call("GET", "/users/7", client=client, server=server))
    meta = trace["meta"]
    assert (meta["source"], meta["sourcePort"]) == told_client
    assert (meta["destination"], meta["destinationPort"]) == told_server


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods(shop: Shop, method: str) -> None:
    """Every method is told."""
    call = Call(method, "/users/7")
    answer, trace = shop.exchange(call)
    assert trace["request"]["method"] == method
    assert trace["response"]["status"] == answer.status


def test_method_that_the_wire_does_not_know(shop: Shop) -> None:
    """A method that no backend takes is answered as without us and counted as dropped, not sent."""
    dropped = shop.agent.stats().dropped.get("method", 0)
    shop.same(Call("BREW", "/users/7"))
    assert shop.sent() == []
    assert shop.agent.stats().dropped["method"] == dropped + 1


def test_host_is_the_header(shop: Shop) -> None:
    """The host is told as the Host header has it, port included, without a scheme."""
    _, trace = shop.exchange(get("/users/7", ("Host", "Shop.Example:8080")))
    assert trace["request"]["url"]["host"] == "Shop.Example:8080"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b'{"a": 1'], ids=["empty", "cut", "binary", "open"])
def test_form_and_json_that_are_none(shop: Shop, body: bytes) -> None:
    """A body that is not what it says is answered as without us, and told."""
    for path, kind in (("/json", "application/json"), ("/upload", "multipart/form-data; boundary=B")):
        call = post(path, body, kind) if body else Call("POST", path, (("Content-Type", kind),))
        answer, trace = shop.exchange(call)
        assert trace["response"]["status"] == answer.status


def test_essence_holds_no_more_than_told(shop: Shop) -> None:
    """A trace holds exactly the fields that are asserted throughout: nothing leaves that no test has seen."""
    call = get("/users/7", ("X-Tag", "a"))
    answer, trace = shop.exchange(call)
    assert essence(trace) == told(shop.way, call, answer, route="/users/{id}")
    assert set(trace) == {
        "processedTraceData",
        "redacted",
        "sessionMeta",
        "analysisType",
        "request",
        "response",
        "meta",
    }
    assert ("X-Tag" if not shop.way.is_async else "x-tag", "a") in given_headers(shop.way, call)
