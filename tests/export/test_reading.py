"""Raw exchanges are read whatever clients and servers put into them."""

from __future__ import annotations

import gzip
import logging
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.addresses import Proxies
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.record import Record
from metlo_otel.core.request import EnvironRequest
from metlo_otel.core.routes import fits, template
from metlo_otel.core.settings import read_settings
from metlo_otel.reading.record import query_pairs, read_exchange
from tests.export.exchanges import ENVIRON, asgi_exchange, wsgi_exchange

SETTINGS = read_settings({"api_key": "k", "host": "http://127.0.0.1", "trusted_proxies": ["10.0.0.0/8", "::1"]}, {})


def read(item: Any) -> Record:
    """The record of an exchange."""
    return read_exchange(item, SETTINGS, Guard(RateLimitedLog(logging.getLogger("metlo_otel"))))


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", ()),
        ("a=1&a=2", (("a", "1"), ("a", "2"))),
        ("flag", (("flag", ""),)),
        ("a=b=c&&=x&", (("a", "b=c"), ("", "x"))),
        ("q=caf%C3%A9+%26&bad=%ff%zz", (("q", "café &"), ("bad", "\ufffd%zz"))),
    ],
)
def test_queries(query: str, pairs: Any) -> None:
    """Repeated names kept, percent-decoded, invalid UTF-8 replaced, a name without a value with an empty one."""
    assert query_pairs(query) == pairs


def test_queries_are_bounded() -> None:
    """A query of a million names costs no more than one of a thousand."""
    assert len(query_pairs("&".join("a" * 5000))) == 1000


@pytest.mark.parametrize("declared", ["", "-5", "abc", "1e9", "9" * 40, "12, 13", "٣"])
def test_a_content_length_that_cannot_be(declared: str) -> None:
    """A nonsensical Content-Length changes nothing."""
    record = read(wsgi_exchange(b"12345", CONTENT_LENGTH=declared))
    assert (record.request.size, record.request.truncated) == (5, False)


def test_content_length_of_what_was_not_read() -> None:
    """What the app never read has the size that was announced, and is marked as cut."""
    record = read(wsgi_exchange(b"123", CONTENT_LENGTH="5000"))
    assert (record.request.size, record.request.truncated) == (5000, True)
    record = read(wsgi_exchange(b"12345", CONTENT_LENGTH="3"))
    assert record.request.size == 5


def test_a_head_response_has_no_body() -> None:
    """Content-Length of a HEAD announces what a GET would have."""
    exchange = wsgi_exchange(answer=b"", REQUEST_METHOD="HEAD")
    exchange.response_headers = [("Content-Length", "500")]
    assert read(exchange).response.size == 0


@pytest.mark.parametrize("name", ["gzip", "deflate", "x-gzip", "raw"])
def test_compressed_bodies(name: str) -> None:
    """What is compressed is read within MAX_BODY; the size stays that of the wire."""
    text = b'{"a":"' + b"x" * 200 + b'"}'
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = {"deflate": zlib.compress(text), "raw": raw.compress(text) + raw.flush()}.get(name, gzip.compress(text))
    for limit, cut in ((1000, False), (100, True)):
        exchange = wsgi_exchange(answer=packed, max_body=limit)
        exchange.response_headers = [("Content-Encoding", "deflate" if name == "raw" else name)]
        response = read(exchange).response
        assert response.body == text[:limit]
        assert (response.size, response.truncated) == (len(packed), cut)


@pytest.mark.parametrize(("encoding", "body"), [("br", b"\x01\x02"), ("gzip", b"no gzip"), ("gzip, br", b"x")])
def test_encodings_that_cannot_be_undone(encoding: str, body: bytes) -> None:
    """Nothing is left but the size."""
    exchange = wsgi_exchange(answer=body)
    exchange.response_headers = [("Content-Encoding", encoding)]
    response = read(exchange).response
    assert (response.body, response.size, response.truncated) == (b"", len(body), True)


def test_a_decompression_bomb_is_bounded() -> None:
    """A body that would become a thousand times larger is read to MAX_BODY and no further."""
    exchange = wsgi_exchange(answer=gzip.compress(b"\x20" * 4_000_000))
    exchange.response_headers = [("Content-Encoding", "gzip")]
    assert len(read(exchange).response.body) == 5120


def test_response_headers_of_any_kind() -> None:
    """Bytes, text that stands for bytes, and what is no header at all."""
    exchange = wsgi_exchange()
    exchange.response_headers = [(b"X-A", b"\xc3\xa9\xff"), ("X-B", "Ã©"), ("broken",), ("X-C", 5)]  # type: ignore[assignment]  # that is the test
    assert read(exchange).response.headers == (("X-A", "Ã©ÿ"), ("X-B", "é"), ("X-C", "5"))


def test_a_route_that_fails() -> None:
    """A route function that raises costs the route, not the record."""
    exchange = asgi_exchange()
    exchange.route = lambda: 1 / 0  # type: ignore[assignment]  # that is the test
    assert read(exchange).route is None
    exchange.route = lambda: "/u/{id:int}"
    assert read(exchange).route == "/u/{id}"


@given(
    st.binary(max_size=200), st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5), st.integers(0, 999)
)
def test_any_wsgi_request_can_be_read(body: bytes, environ: dict[str, str], status: int) -> None:
    """Whatever a server hands over."""
    named = {f"HTTP_{name.upper()}": value for name, value in environ.items()}
    exchange = wsgi_exchange(body, QUERY_STRING=str(environ))
    exchange.status = status
    exchange.request = EnvironRequest({**ENVIRON, **named, "QUERY_STRING": str(environ)})
    read(exchange)


@given(st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=20)), max_size=5), st.binary(max_size=40))
def test_any_asgi_request_can_be_read(headers: Any, query: bytes) -> None:
    """Whatever a server hands over."""
    read(asgi_exchange(query, headers=headers, query_string=query, client=None, server=("unix:/x", None)))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client", "behind"),
    [
        ("9.9.9.9", "1.1.1.1", "9.9.9.9", None),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.2.3.4", "1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1:80", "1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.7, 10.0.0.8", "10.0.0.7", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, unknown, 10.0.0.8", "10.0.0.8", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1", None),
        ("10.0.0.1", "", "10.0.0.1", None),
        ("::ffff:10.0.0.1", "::ffff:1.1.1.1", "1.1.1.1", "10.0.0.1"),
        ("::ffff:9.9.9.9", "1.1.1.1", "9.9.9.9", None),
        ("::1", "1.1.1.1", "1.1.1.1", "::1"),
        ("", "1.1.1.1", "", None),
        ("unix:", "1.1.1.1", "unix:", None),
    ],
)
def test_who_sent_it(peer: str, forwarded: str, client: str, behind: str | None) -> None:
    """X-Forwarded-For is believed from trusted proxies only, and only as far as they vouch for it."""
    request = EnvironRequest({"REMOTE_ADDR": peer, "REMOTE_PORT": "5", "HTTP_X_FORWARDED_FOR": forwarded})
    (name, port), proxy = SETTINGS.trusted_proxies.source(request)
    assert (name, proxy) == (client, behind)
    assert port == (None if behind else 5)
    assert Proxies.parse(["172.16.0.0/12"]).source(request)[1] is None


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ("users/<int:id>/", "/users/{id}/"),
        ("<slug>", "/{slug}"),
        ("/u/<int(min=1):id>/x/<name>", "/u/{id}/x/{name}"),
        ("/u/{id:int}/{rest:path}", "/u/{id}/{rest:path}"),
        ("/files/<path:name>", "/files/{name:path}"),
        (r"^files/(?P<name>.*)$", "/files/{name:path}"),
        ("/{name:path}", "/{name:path}"),
        (r"^users/(?P<id>[0-9]+)/$", "/users/{id}/"),
        (r"api/^v1/(?P<a>[^/)(]+)/(?P<b>(x|y)\)+)/?$", "/api/v1/{a}/{b}/"),
        (r"^files/(?P<n>\w+)\.json$", "/files/{n}.json"),
        (r"^(\d+)/$", None),
        (r"^a|b$", None),
        (r"^broken/(?P<id>[", None),
        ("", "/"),
        ("/a b", None),
    ],
)
def test_route_templates(route: str, found: str | None) -> None:
    """All frameworks' notations become `{name}`; what cannot be told is not guessed."""
    assert template(route) == found


def test_templates_fit_their_paths_only() -> None:
    """A template is sent where it describes the path, segment by segment."""
    assert fits("/users/{id}/", "/users/7/")
    assert not fits("/users/{id}", "/users/7/")
    assert not fits("/users/{id}", "/users/")
    assert fits("/files/{n}.json", "/files/{n}.json")
    assert not fits("/files/{n}.json", "/files/7.json")
    assert fits("/users/{user-id}", "/users/{id}")
    assert not fits("/files/{rest}", "/files/a/b")
    assert fits("/files/{rest:path}", "/files/a/b")
    assert fits("/files/{rest:path}", "/files/")
    assert fits("/files/{rest:path}/{n}", "/files/a/b/1")
    assert not fits("/files/{rest:path}", "/file/a/b")
    assert not fits("/a.b/{n}", "/a-b/1")
