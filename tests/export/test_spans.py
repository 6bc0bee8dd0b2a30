"""Records become server spans and come back; spans of other instrumentations are read too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from metlo_otel.core.exchange import Verdict
from metlo_otel.core.record import Message, Record
from metlo_otel.export.span_reading import record_of
from metlo_otel.export.spans import span_of

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
names = st.text("abcXYZ-", min_size=1, max_size=8)
headers = st.lists(st.tuples(names, words), max_size=6).map(tuple)
bodies = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30).map(str.encode)
addresses = st.tuples(words.filter(bool), st.none() | st.integers(0, 65535))
ids = st.integers(1, 2**64 - 1)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Headers and a body of text, whole or cut."""
    body = draw(bodies)
    cut = draw(st.booleans())
    return Message(draw(headers), body, len(body) + cut * draw(st.integers(1, 10**9)), cut)


records = st.builds(
    Record,
    method=st.sampled_from(["GET", "POST", "PURGE"]),
    scheme=st.sampled_from(["http", "https"]),
    host=words.filter(bool),
    path=words.map("/".__add__),
    query=st.lists(st.tuples(words, words), max_size=5).map(tuple),
    request=messages(),
    response=messages(),
    status=st.integers(100, 599),
    source=addresses,
    destination=addresses,
    route=st.none() | st.just("/users/{id}"),
    forwarded=st.none() | words,
    user=st.none() | words,
    protocol=st.sampled_from(["1.0", "1.1", "2"]),
    exchange_id=st.none() | words,
    trace_id=ids,
    span_id=ids,
    parent_id=st.just(0) | ids,
    started=ids,
    ended=ids,
    verdict=st.builds(Verdict, st.booleans(), st.none() | words, st.lists(words, max_size=2).map(tuple), st.booleans()),
    incomplete=st.lists(words, max_size=2, unique=True).map(tuple),
)


@given(records)
def test_a_record_comes_back_from_its_span(record: Record) -> None:
    """Nothing of a text exchange is lost on the way: order, case and repetitions of headers included."""
    assert record_of(span_of(record)) == record


_NEEDS_HEADERS = ("metlo.request.header_names", "metlo.response.header_names")  # their order and case
_CONSTANT = ("network.protocol.name",)  # `http`, of every one of our spans


@given(records.filter(lambda record: record.request.header("user-agent") == []))
def test_every_attribute_of_our_spans_is_read(record: Record) -> None:
    """Each attribute alone, as where a processor took the rest away, tells its part of the record."""
    agent = (*record.request.headers, ("User-Agent", "curl/8"))
    record = replace(record, request=replace(record.request, headers=agent), incomplete=("late",))
    written = dict(span_of(record).attributes or {})
    nothing = record_of(_span({"http.request.method": "_"}))
    for name, value in written.items():
        only = {"http.request.method": "_", name: value}
        if name in _NEEDS_HEADERS or name in _CONSTANT or value in (False, "", 0, "/", "http", "1.1"):
            continue
        assert record_of(_span(only)) != nothing, name


def _span(attributes: dict[str, Any]) -> ReadableSpan:
    return ReadableSpan("GET", attributes=attributes, kind=SpanKind.SERVER)


@pytest.mark.parametrize("name", ["user_agent.original", "http.user_agent"])
def test_the_user_agent_of_other_instrumentations(name: str) -> None:
    """It is a header of the request, unless headers were captured that have it."""
    attributes = {"http.request.method": "GET", name: "curl/8"}
    record = record_of(_span(attributes))
    assert record is not None
    assert record.request.headers == (("user-agent", "curl/8"),)
    captured = record_of(_span({**attributes, "http.request.header.user_agent": ("other",)}))
    assert captured is not None
    assert captured.request.headers == (("user-agent", "other"),)


def whole(**more: Any) -> Record:
    """A record to vary."""
    base = Record(
        "GET",
        "https",
        "shop.example:8443",
        "/a b",
        (("q", "ü&"),),
        Message(),
        Message(),
        200,
        ("1.2.3.4", 5),
        ("5.6.7.8", 443),
    )
    return replace(base, **more)


def test_the_semantic_conventions() -> None:
    """The attributes are those that OpenTelemetry names, of the types that it names."""
    message = Message((("User-Agent", "t/1"), ("X-A", "1"), ("x-a", "2")), b"{}", 2)
    span = span_of(whole(request=message, route="/a b", status=503, user="u7", parent_id=3, trace_id=1, span_id=2))
    found = dict(span.attributes or {})
    assert found["url.path"] == "/a%20b"
    assert found["url.query"] == "q=%C3%BC%26"
    assert (found["server.address"], found["server.port"]) == ("shop.example", 8443)
    assert found["http.request.header.x-a"] == ("1", "2")
    assert found["user_agent.original"] == "t/1"
    assert found["http.request.body.content"] == "{}"
    assert found["http.response.status_code"] == 503
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.ERROR
    assert span.name == "GET /a b"
    assert span.parent is not None
    assert span.parent.span_id == 3
    assert json.loads(span.to_json())["attributes"]["user.id"] == "u7"


def test_fresh_ids_where_there_are_none() -> None:
    """A record without a trace gets one of its own, the same in span and record."""
    first, second = span_of(whole()), span_of(whole())
    assert first.context is not None
    assert second.context is not None
    assert first.context.is_valid
    assert first.context.trace_id != second.context.trace_id


@pytest.mark.parametrize("body", [bytes(range(256)), b"\x89PNG\r\n\x1a\n\0", b"\xff\xfe\xfd"])
def test_binary_content_is_never_text(body: bytes) -> None:
    """Of a binary body a span has the size, not the bytes as mangled text."""
    span = span_of(whole(response=Message((), body, len(body))))
    found = dict(span.attributes or {})
    assert "http.response.body.content" not in found
    assert found["http.response.body.size"] == len(body)


CONTEXT = SpanContext(11, 12, False)

OLD: dict[str, Any] = {
    "http.method": "POST",
    "http.target": "/users/7?x=1&y=%C3%BC",
    "http.host": "shop.example:8080",
    "http.scheme": "https",
    "http.status_code": 201,
    "http.route": "/users/<int:id>",
    "http.flavor": "2",
    "http.user_agent": "t/1",
    "net.peer.ip": "9.9.9.9",
    "net.peer.port": 4000,
    "net.host.name": "srv",
    "net.host.port": 8080,
    "http.request.header.content_type": ["application/json"],
}
NEW: dict[str, Any] = {
    "http.request.method": "POST",
    "url.path": "/users/7",
    "url.query": "x=1&y=%C3%BC",
    "url.scheme": "https",
    "server.address": "shop.example",
    "server.port": 8080,
    "client.address": "9.9.9.9",
    "client.port": 4000,
    "http.response.status_code": 201,
    "http.route": "/users/{id}",
    "network.protocol.version": "2",
    "user_agent.original": "t/1",
    "http.request.header.content-type": ("application/json",),
}
FULL: dict[str, Any] = {
    "http.method": "POST",
    "http.url": "https://shop.example:8080/users/7?x=1&y=%C3%BC",
    "http.status_code": 201,
}


@pytest.mark.parametrize("attributes", [OLD, NEW, FULL], ids=["old", "new", "old with url"])
def test_spans_of_other_instrumentations(attributes: dict[str, Any]) -> None:
    """Old and new names of the HTTP attributes tell the same."""
    record = record_of(
        ReadableSpan("x", CONTEXT, attributes=attributes, kind=SpanKind.SERVER, start_time=1, end_time=2)
    )
    assert record is not None
    assert (record.method, record.scheme, record.path, record.status) == ("POST", "https", "/users/7", 201)
    assert record.host == "shop.example:8080"
    assert record.query == (("x", "1"), ("y", "ü"))
    assert (record.trace_id, record.span_id) == (11, 12)
    if attributes is not FULL:
        assert record.route == "/users/{id}"
        assert record.source == ("9.9.9.9", 4000)
        assert record.request.headers == (("content-type", "application/json"), ("user-agent", "t/1"))


def test_other_spans_are_none_of_ours() -> None:
    """Client spans and spans that are not about HTTP are left alone."""
    assert record_of(ReadableSpan("x", CONTEXT, attributes=NEW, kind=SpanKind.CLIENT)) is None
    assert record_of(ReadableSpan("x", CONTEXT, attributes={"rpc.system": "grpc"}, kind=SpanKind.SERVER)) is None
    assert record_of(ReadableSpan("x", kind=SpanKind.SERVER)) is None
