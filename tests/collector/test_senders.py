"""Raw traces as the original Node, Java and Python agents really send them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.senders import plain
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.trace import TraceError, checked
from tests.collector.client import Client

_ABSENT = object()
_RAW = {
    "request": {
        "url": {"host": "h.example", "path": "/users/7", "parameters": []},
        "headers": [{"name": "content-type", "value": "application/json"}],
        "body": "",
        "method": "POST",
    },
    "response": {
        "url": "127.0.0.1:80",
        "status": 200,
        "headers": [{"name": "content-type", "value": "application/json"}],
        "body": "{}",
    },
    "meta": {"environment": "production", "incoming": True, "source": "192.0.2.7", "sourcePort": 1234},
}


def raw(place: str = "", value: Any = None) -> dict[str, Any]:
    """A raw trace with one part replaced, or gone."""
    trace: dict[str, Any] = copy.deepcopy(_RAW)
    *steps, last = place.split(".") if place else [""]
    holder = trace
    for step in steps:
        holder = holder[step]
    if value is _ABSENT:
        holder.pop(last, None)
    elif place:
        holder[last] = value
    return trace


_SHAPES = [
    ("request.body", {"card": "4111 1111 1111 1111"}, "request.body", '{"card":"4111 1111 1111 1111"}'),
    ("request.body", {}, "request.body", "{}"),
    ("request.body", [1, "a"], "request.body", '[1,"a"]'),
    ("request.body", None, "request.body", ""),
    ("response.body", 5, "response.body", "5"),
    ("response.body", 1.5, "response.body", "1.5"),
    ("response.body", True, "response.body", "true"),
    ("response.body", None, "response.body", ""),
    ("response.body", _ABSENT, "response.body", ""),
    ("response.body", {"type": "Buffer", "data": [104, 105, 255]}, "response.body", "hi\ufffd"),
    ("response.body", {"type": "Buffer", "data": ["a"]}, "response.body", '{"type":"Buffer","data":["a"]}'),
    ("response.body", 2**70, "response.body", str(2**70)),
    ("response.status", _ABSENT, "response.status", 0),
    ("response.status", None, "response.status", 0),
    ("response.status", "404", "response.status", 404),
    ("response", None, "response.status", 0),
    ("response", _ABSENT, "response.body", ""),
    ("meta", None, "meta.source", None),
    ("meta.source", "::ffff:192.0.2.7", "meta.source", "192.0.2.7"),
    ("request.user", 7, "request.user", "7"),
    ("request.url.host", "http://h.example:8000", "request.url.host", "h.example:8000"),
    ("request.url.host", "::ffff:127.0.0.1", "request.url.host", "127.0.0.1"),
    ("request.url.host", None, "request.url.host", "unknown"),
    ("request.url.path", "users/7", "request.url.path", "/users/7"),
    ("request.url.path", "https://h.example/users/7?a=1", "request.url.path", "/users/7"),
    ("request.headers", [{"name": "a", "value": [1, None]}], "request.headers", [("a", "1"), ("a", "")]),
    ("request.headers", {"a": "b", "c": ["d", "e"]}, "request.headers", [("a", "b"), ("c", "d"), ("c", "e")]),
    ("request.headers", [{"name": "a"}], "request.headers", [("a", "")]),
    ("response.headers", [{"name": "content-length", "value": 12}], "response.headers", [("content-length", "12")]),
    ("response.headers", None, "response.headers", []),
    (
        "request.url.parameters",
        [{"name": "a", "value": {"b": "1", "c": ["2", {"d": 3}]}}],
        "request.url.parameters",
        [("a[b]", "1"), ("a[c]", "2"), ("a[c][d]", "3")],
    ),
]


@pytest.mark.parametrize(("place", "value", "where", "expected"), _SHAPES)
def test_each_shape_has_its_plain_form(place: str, value: Any, where: str, expected: Any) -> None:
    """Every shape that the agents' sources can send is brought into the one form, which passes the check."""
    found: Any = plain(raw(place, value))
    checked(found, 1, unknown_status=True)
    for step in where.split("."):
        found = found[step]
    named = [(pair["name"], pair["value"]) for pair in found] if isinstance(found, list) else found
    assert named == expected


def test_a_query_in_the_path_is_read_once() -> None:
    """Where the agent lists the parameters these count, else what the path has."""
    in_path = plain(raw("request.url.path", "/users/7?a=%31&b"))
    assert in_path["request"]["url"]["parameters"] == [{"name": "a", "value": "1"}, {"name": "b", "value": ""}]
    both = raw("request.url.path", "/users/7?a=1")
    both["request"]["url"]["parameters"] = [{"name": "a", "value": "1"}]
    assert plain(both)["request"]["url"]["parameters"] == [{"name": "a", "value": "1"}]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from([shape[0] for shape in _SHAPES] + ["request", "request.url", "request.method"]), _ANY)
def test_anything_is_taken_or_refused_in_words(place: str, value: Any) -> None:
    """No value at any place raises anything but TraceError, and what is taken is in the one form."""
    try:
        found = plain(raw(place, value))
        checked(found, 1, unknown_status=True)
    except TraceError:
        return
    assert isinstance(found["request"]["body"], str)
    assert all(isinstance(pair["value"], str) for pair in found["request"]["headers"])


def test_many_names_in_one_value_are_refused() -> None:
    """What spreads into more names than a message has is refused before it is built up further."""
    with pytest.raises(TraceError, match="at most 1000"):
        plain(raw("request.url.parameters", [{"name": "a", "value": ["1"] * 1001}]))


def test_they_are_analysed(client: Client, collector: RunningCollector) -> None:
    """A body that is an object has its classes told, an attack within it and within a nested parameter too."""
    body = {"card": "4111 1111 1111 1111", "note": "1' OR '1'='1' --"}
    nested = raw("request.url.parameters", [{"name": "a", "value": {"b": "<script>alert(1)</script>"}}])
    answer = client.post([raw("request.body", body), nested], "v1/log-request/batch")
    assert answer.text == "OK"
    found = {(each["category"], each["field"]) for each in client.items("attacks")}
    assert ("SQLI", "reqBody.note") in found
    assert ("XSS", "reqQuery.a[b]") in found
    (endpoint,) = client.items("endpoints")
    assert "Credit Card Number" in endpoint["classes"]


def test_a_response_without_a_status(client: Client) -> None:
    """Koa's agent tells none: the call is counted and its fields are learnt, and no status is made up."""
    trace = raw("response.status", _ABSENT)
    trace["response"]["body"] = {"email": "ann@shop.example"}
    assert client.post(trace, "v1/log-request/single").text == "OK"
    (endpoint,) = client.items("endpoints")
    assert (endpoint["calls"], endpoint["statuses"], endpoint["classes"]) == (1, {}, ["Email"])
    assert client.items("traces")[0]["status"] == 0


def test_a_host_with_a_scheme_is_the_same_host(client: Client, collector: RunningCollector) -> None:
    """What original Django agents call `http://h.example` is h.example: as an endpoint, for sessions and host maps."""
    session = {"host": "http://h.example", "authType": "header", "headerKey": "x-token"}
    collector.store.configure("authenticationConfig", [session])
    collector.store.configure("hostMap", [{"host": "http://shop.example", "pattern": r"^https?://other\.example$"}])
    with_token = raw("request.headers", [{"name": "X-Token", "value": "t"}])
    written = raw("request.url.host", "http://H.example")
    assert client.post([with_token, written], "v1/log-request/batch").text == "OK"
    assert client.post(raw("request.url.host", "other.example"), "v1/log-request/single").text == "OK"
    assert {each["host"] for each in client.items("endpoints")} == {"h.example", "shop.example"}
    authenticated = client.read("/api/v1/traces/1").json()["trace"]["sessionMeta"]
    assert authenticated["authenticationProvided"] is True
