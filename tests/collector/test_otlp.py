"""Spans taken in by OTLP, in JSON: what they become in the inventory, and what is refused."""

from __future__ import annotations

import copy
import gzip
import json
import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from metlo_otel.collector.otlp.from_json import read_otlp_json
from metlo_otel.collector.otlp.records import request_of
from metlo_otel.collector.otlp.routes import template
from metlo_otel.collector.otlp.spans import MAX_ATTRIBUTES, MAX_SPANS, OtlpError
from metlo_otel.collector.schema import ENDPOINT_SERVICES
from metlo_otel.collector.server import RunningCollector
from metlo_otel.core.record import Record
from tests.collector.client import KEY, READ_KEY, Client, make_trace
from tests.collector.otlp import TRACE_ID, attributes, document, server, span


def send(client: Client, *documents: dict[str, Any]) -> None:
    """All of these are taken whole."""
    for each in documents:
        answer = client.session.post(client.url + "/v1/traces", json=each, timeout=10)
        assert (answer.status_code, answer.json()) == (200, {})


def record(given: dict[str, Any], **more: Any) -> Record:
    """The record of a server span with these attributes."""
    batch = read_otlp_json(json.dumps(document(span(2, given, **more))).encode())
    assert not batch.rejected, batch.reason
    found = request_of(batch.spans[0])
    assert found is not None
    return found


def test_a_request_in_the_inventory(client: Client, collector: RunningCollector) -> None:
    """Endpoint, count, status, latency, who sent it, the trace's id, and the service in its three dimensions."""
    send(client, document(server("/users/7"), server("/users/8", http__response__status_code=404)))
    (endpoint,) = client.items("endpoints")
    assert (endpoint["host"], endpoint["method"], endpoint["path"]) == ("shop.example", "GET", "/users/{id}")
    assert (endpoint["calls"], endpoint["statuses"], endpoint["services"]) == (2, {"200": 1, "404": 1}, ["checkout"])
    assert endpoint["latency"]["calls"] == 2
    assert abs(endpoint["latency"]["p50"] - 20_000) < 1_000
    (trace, _) = client.items("traces")
    assert (trace["source"], trace["traceId"], trace["durationMicroseconds"]) == ("192.0.2.7", TRACE_ID, 20_000)
    assert client.items("actors", kind="address")[0]["value"] == "192.0.2.7"
    rows = collector.store.read(lambda connection: connection.execute(select(ENDPOINT_SERVICES)).all())
    assert [row[1:] for row in rows] == [("checkout", "production", "nodejs", 2)]
    assert client.items("services", language="nodejs")[0]["endpoints"] == 1
    assert client.items("endpoints", service="other") == []


def test_what_is_captured_is_analysed(client: Client) -> None:
    """Attacks in headers, parameters and bodies, and classes of data in responses, wherever vendors put them."""
    attack = "1' OR '1'='1' --"
    send(
        client,
        document(
            server("/a", None, **{"http.request.header.x-note": [attack]}),
            server("/b", None, url__query="q=%3Cscript%3Ealert(1)%3C/script%3E"),
            server("/c", None, **{"http.request.body.content": json.dumps({"name": attack})}),
            server("/d", None, **{"http.request.body": json.dumps({"name": attack})}),
            server("/e", None, **{"http.request.headers": json.dumps({"x-note": attack})}),
            server("/f", None, **{"http.response.body.content": json.dumps({"email": "ann@shop.example"})}),
        ),
    )
    found = {(each["path"], each["category"], each["field"]) for each in client.items("attacks")}
    assert {
        ("/a", "SQLI", "reqHeaders.x-note"),
        ("/b", "XSS", "reqQuery.q"),
        ("/c", "SQLI", "reqBody.name"),
        ("/d", "SQLI", "reqBody.name"),
        ("/e", "SQLI", "reqHeaders.x-note"),
    } <= found
    assert [each["classes"] for each in client.items("endpoints", path="/f")] == [["Email"]]


def test_bodies_of_bytes(client: Client) -> None:
    """The conventions leave open what a body's value is; bytes are read as text."""
    sent = document(server("/a", None))
    content = {
        "key": "http.request.body.content",
        "value": {"bytesValue": b64encode(b'{"a": "<script>alert(1)</script>"}').decode()},
    }
    sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(content)
    send(client, sent)
    assert "reqBody.a" in {each["field"] for each in client.items("attacks")}


@pytest.mark.parametrize(
    ("given", "host", "path", "status", "source"),
    [
        (
            {"http.method": "GET", "http.target": "/a?b=1", "http.host": "h.example:81", "http.status_code": 201},
            "h.example:81", "/a", 201, "",
        ),
        ({"http.method": "GET", "http.url": "https://h.example/a", "http.status_code": "503"}, "h.example", "/a", 503,
         ""),
        ({"http.request.method": "GET", "url.path": "/a"}, "checkout", "/a", 0, ""),
        ({"http.request.method": "GET", "url.path": "/a", "http.response.status_code": 7}, "checkout", "/a", 0, ""),
        ({"http.request.method": "GET", "http.route": "/users/:id"}, "checkout", "/users/{id}", 0, ""),
        (
            {"http.request.method": "GET", "url.path": "/a", "server.address": "::ffff:10.0.0.1", "server.port": 81,
             "client.address": "::ffff:10.0.0.2"},
            "10.0.0.1:81", "/a", 0, "10.0.0.2",
        ),
        ({"http.method": "GET", "http.url": "http://h.example/a", "peer.address": "10.0.0.9"}, "h.example", "/a", 0,
         "10.0.0.9"),
    ],
)  # fmt: skip
def test_old_and_new_and_missing_attributes(
    given: dict[str, Any], host: str, path: str, status: int, source: str
) -> None:
    """Whatever convention a span follows, and where it tells little, the request is one of its host and path."""
    found = record(given)
    assert (found.host, found.path, found.status, found.source[0]) == (host, path, status, source)


def test_the_name_of_a_span_tells_its_route() -> None:
    """Where neither path nor route is among the attributes."""
    assert record({"http.request.method": "GET"}, name="GET /users/:id").route == "/users/{id}"
    assert record({"http.request.method": "GET"}, name="GET").path == "/"


@pytest.mark.parametrize(
    ("route", "path", "expected"),
    [
        ("/users/:id", "/users/7", "/users/{id}"),
        ("/users/:id(\\d+)", "/users/7", "/users/{id}"),
        ("/users/:id?", "/users", "/users"),
        ("/users{/:id}", "/users/7", "/users/{id}"),
        ("/users/:id(.:format)", "/users/7.json", "/users/{id}"),
        ("/posts(/:page)(.:format)", "/posts", "/posts"),
        ("/posts(/:page)(.:format)", "/posts/3", "/posts/{page}"),
        ("api/users/{id?}", "/api/users/7", "/api/users/{id}"),
        ("api/users/{id:int?}", "/api/users", "/api/users"),
        ("{controller=Home}/{action=Index}/{id?}", "/shop/list", "/{controller}/{action}"),
        ("/files/{*rest}", "/files/a/b", "/files/{rest}"),
        ("/files/*path", "/files/a/b", "/files/{path}"),
        ("/files/{rest...}", "/files/a/b", "/files/{rest}"),
        ("GET /users/{id}", "/users/7", "/users/{id}"),
        ("/users/{id:[0-9]+}", "/users/7", "/users/{id}"),
        ("/users/<int:id>", "/users/7", "/users/{id}"),
        ("^users/(?P<id>[0-9]+)$", "/users/7", "/users/{id}"),
        ("/docs/[...slug]", "/docs/a/b", "/docs/{slug}"),
        ("/blog/[slug]", "/blog/a", "/blog/{slug}"),
        ("/flights/:from-:to", "/flights/a-b", "/flights/{from}-{to}"),
        ("/users/{id}", "/mounted/users/7", "/mounted/users/{id}"),
        ("/", "/", "/"),
        ("/", "/users/7", None),
        ("/api", "/api/users", None),
        ("/**", "/a/b", None),
        ("*", "/a", None),
        ("", "/a", None),
        ("/" + "a/" * 600, "/a", None),
    ],
)  # fmt: skip
def test_routes_of_all_languages(route: str, path: str, expected: str | None) -> None:
    """Each notation is one template; what does not describe the path is no route of it."""
    assert template(route, path) == expected


@given(st.text("/:{}()[]*?=.<>ab\\^$ ", max_size=40), st.text("/ab", max_size=20))
def test_any_route_is_read_or_left(route: str, path: str) -> None:
    """No text raises or holds anybody up, and a template that is made describes the path."""
    found = template(route, "/" + path)
    assert found is None or found.startswith("/")


@pytest.mark.parametrize("route", ["/*a/*b/*c/*d/x", "/:a-:b-:c-:d-:e-:f.x", "/{a}{b}{c}{d}{e}.x"])
def test_hostile_routes_and_paths_take_no_time(route: str) -> None:
    """Whatever a sender calls a route is held against a path in a moment."""
    began = time.perf_counter()
    for path in ("/" + "a-" * 480, "/a" * 480, "/" * 990, "/" + "-" * 100_000):
        template(route, path)
    assert time.perf_counter() - began < 2


def test_methods_that_nobody_knows(client: Client) -> None:
    """They are not counted, and not rejected either: the exporter could not help it."""
    send(client, document(server(http__request__method="_OTHER"), server(http__request__method="get")))
    assert [(each["method"], each["calls"]) for each in client.items("endpoints")] == [("GET", 1)]


def test_calls_of_rpc(client: Client) -> None:
    """gRPC's calls are endpoints, their codes statuses."""
    given = {"rpc.system": "grpc", "rpc.service": "shop.Orders", "rpc.method": "Get", "server.address": "orders"}
    send(
        client,
        document(
            span(2, {**given, "rpc.grpc.status_code": 0}),
            span(2, {**given, "rpc.grpc.status_code": 5}),
            span(2, {"rpc.system.name": "grpc", "rpc.method": "shop.Orders/Get", "server.address": "orders",
                     "rpc.response.status_code": "PERMISSION_DENIED"}),
            span(2, {"rpc.system.name": "dubbo", "rpc.method": "Get", "rpc.service": "a"}, status={"code": 2}),
        ),
    )  # fmt: skip
    orders, other = client.items("endpoints")
    assert (orders["host"], orders["method"], orders["path"]) == ("orders", "POST", "/shop.Orders/Get")
    assert orders["statuses"] == {"200": 1, "403": 1, "404": 1}
    assert (other["host"], other["path"], other["statuses"]) == ("checkout", "/a/Get", {"500": 1})


def test_operations_of_graphql(client: Client) -> None:
    """An operation that a span within the request tells of is an endpoint, also where it came in an earlier batch."""
    executed = {"graphql.operation.type": "mutation", "graphql.operation.name": "pay"}
    send(client, document(span(1, executed, parentSpanId="eee19b7ec3c1b174", spanId="eee19b7ec3c1b175")))
    send(client, document(server("/graphql", "/graphql", http__request__method="POST")))
    (endpoint,) = client.items("endpoints")
    assert (endpoint["path"], endpoint["operation"]) == ("/graphql", "mutation.pay")


def test_who_calls_whom(client: Client) -> None:
    """A client span's host is the service that answers there; where none is known it is itself."""

    def calls(url: str, status: int = 200) -> dict[str, Any]:
        return span(3, {"http.request.method": "GET", "url.full": url, "http.response.status_code": status})

    send(
        client,
        document(server()),
        document(calls("http://shop.example/users/7"), calls("http://SHOP.example:80/x", 500), service="web"),
        document(calls("https://api.example:8443/"), service="checkout"),
        document(span(3, {"rpc.system": "grpc", "peer.service": "stock"}), service="checkout"),
        document(span(3, {"db.system": "postgresql", "server.address": "db"}), service="checkout"),
    )
    client.post([make_trace()])
    send(client, document(calls("http://shop.example/items/1"), service="late"))
    found = {(each["caller"], each["callee"]): each for each in client.items("service-calls")}
    assert found.keys() == {
        ("web", "checkout"), ("checkout", "api.example:8443"), ("checkout", "stock"), ("late", "checkout"),
    }  # fmt: skip
    assert [found["web", "checkout"][name] for name in ("calls", "errors", "kind")] == [2, 1, "service"]
    assert found["checkout", "api.example:8443"]["kind"] == "elsewhere"


def test_what_our_agent_reports_is_counted_once(client: Client) -> None:
    """Spans with its mark, and those of a trace that it has sent, only tell the service of the endpoint."""
    reported = make_trace("/users/7")
    reported["meta"]["traceId"] = TRACE_ID
    reported["request"]["url"]["endpointPath"] = "/users/{id}"
    client.post([reported])
    other = {**server("/users/9"), "traceId": "11" * 16}
    marked = {**server("/users/8", metlo__exchange__id="00aa"), "traceId": "22" * 16}
    send(client, document(server("/users/7"), other, marked))
    (endpoint,) = client.items("endpoints")
    assert (endpoint["calls"], endpoint["services"]) == (2, ["checkout"])
    assert [trace["path"] for trace in client.items("traces")] == ["/users/9", "/users/7"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": KEY}, 200),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer  {KEY} "}, 200),
        ({"Authorization": "", "api-key": KEY}, 200),
        ({"Authorization": "Bearer guess"}, 401),
        ({"Authorization": "", "api-key": "guess"}, 401),
        ({"Authorization": READ_KEY}, 401),
        ({"Authorization": ""}, 401),
    ],
)
def test_keys(client: Client, headers: dict[str, str], status: int) -> None:
    """An agent's key, by either header; with or without the scheme's name."""
    answer = client.session.post(client.url + "/v1/traces", json=document(server()), headers=headers, timeout=10)
    assert answer.status_code == status
    assert len(client.items("endpoints")) == (status == 200)


_SPAN: dict[str, Any] = server()
_BROKEN: list[tuple[dict[str, Any], str]] = [
    ({**_SPAN, "traceId": "xyz"}, "traceId"),
    ({**_SPAN, "traceId": "00"}, "16 bytes"),
    ({**_SPAN, "spanId": 7}, "spanId"),
    ({**_SPAN, "kind": "SERVER"}, "SPAN_KIND_SERVER"),
    ({**_SPAN, "startTimeUnixNano": "-1"}, "nanoseconds"),
    ({**_SPAN, "endTimeUnixNano": "9" * 30}, "nanoseconds"),
    ({**_SPAN, "attributes": {}}, "a list"),
    ({**_SPAN, "attributes": [7]}, "key and value"),
    ({**_SPAN, "attributes": [{"key": "a", "value": {"intValue": "x"}}]}, "intValue"),
    ({**_SPAN, "attributes": [{"key": "a", "value": {"what": 1}}]}, "stringValue"),
    ({**_SPAN, "attributes": [{"key": "a", "value": {"bytesValue": "?"}}]}, "bytesValue"),
    ({**_SPAN, "attributes": attributes({str(n): 1 for n in range(MAX_ATTRIBUTES + 1)})}, "at most 1000"),
    ({**_SPAN, "status": 7}, "status"),
]


@pytest.mark.parametrize(("broken", "reason"), _BROKEN)
def test_a_broken_span_does_not_lose_the_others(client: Client, broken: dict[str, Any], reason: str) -> None:
    """The answer says how many spans were not taken and why; the others are stored."""
    answer = client.session.post(client.url + "/v1/traces", json=document(server(), broken), timeout=10)
    partly = answer.json()["partialSuccess"]
    assert (answer.status_code, partly["rejectedSpans"]) == (200, "1")
    assert reason in partly["errorMessage"]
    assert client.items("endpoints")[0]["calls"] == 1


def test_values_within_values() -> None:
    """A value that is nested deeper than any is meant to be is refused."""
    nested: dict[str, Any] = {"intValue": 1}
    for _ in range(40):
        nested = {"arrayValue": {"values": [nested]}}
    sent = document({**_SPAN, "attributes": [{"key": "a", "value": nested}]})
    batch = read_otlp_json(json.dumps(sent).encode())
    assert (batch.rejected, batch.spans) == (1, [])
    assert "nested" in batch.reason


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b"", {}, 400),
        (b'{"resourceSpans": 7}', {}, 400),
        (b'{"resourceSpans": [{"scopeSpans": [7]}]}', {}, 400),
        (b'{"resourceSpans": [{"resource": 7}]}', {}, 400),
        (b"[" * 1_000_000, {}, 400),
        (json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}] * (MAX_SPANS + 1)}]}]}).encode(), {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b" " * 5_000_000, {}, 413),
        (gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_refusals(client: Client, body: bytes, headers: dict[str, str], status: int) -> None:
    """What is no OTLP at all is refused with a google.rpc.Status, nothing is stored, and the next batch is taken."""
    headers = {"Content-Type": "application/json", **headers}
    answer = client.session.post(client.url + "/v1/traces", data=body, headers=headers, timeout=20)
    assert answer.status_code == status
    assert answer.json()["message"]
    send(client, document())
    assert client.items("endpoints") == []


def test_a_busy_collector_says_when_to_come_again(client: Client, collector: RunningCollector) -> None:
    """503 with Retry-After, which exporters heed; nothing is lost without a word."""
    collector.store._writer._limit = 0
    answer = client.session.post(client.url + "/v1/traces", json=document(server()), timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["code"] == 14


def test_a_file_of_a_collectors_file_exporter(client: Client) -> None:
    """One document a line, enums as numbers, ids in hexadecimal, 64-bit integers as text, and fields that are not
    known here.
    """
    line = document(server())
    line["resourceSpans"][0]["schemaUrl"] = "https://opentelemetry.io/schemas/1.27.0"
    one = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    one |= {"flags": 257, "traceState": "", "droppedAttributesCount": 0, "events": [], "links": [], "later": {"a": 1}}
    documents: list[dict[str, Any]] = [line, {"resourceSpans": []}, copy.deepcopy(line)]
    file = "\n".join(map(json.dumps, documents))
    send(client, *map(json.loads, file.splitlines()))
    assert client.items("endpoints")[0]["calls"] == 2


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
_NAMES = ["url.path", "url.query", "http.route", "http.target", "http.request.header.a", "http.request.body.content",
          "client.port", "http.response.status_code", "server.port", "server.address", "network.protocol.version",
          "metlo.tags", "metlo.request.header_names", "http.request.headers", "rpc.system"]  # fmt: skip
_VALUES = st.recursive(
    st.text(max_size=8).map(lambda each: {"stringValue": each})
    | st.integers(-(2**63), 2**63 - 1).map(lambda each: {"intValue": str(each)})
    | st.floats().map(lambda each: {"doubleValue": str(each)})
    | st.booleans().map(lambda each: {"boolValue": each})
    | st.builds(dict[str, Any]),
    lambda inner: st.lists(inner, max_size=3).map(lambda each: {"arrayValue": {"values": each}}),
    max_leaves=4,
)


@given(st.sampled_from([*_SPAN, "resource"]), _ANY)
def test_any_value_anywhere_is_taken_or_refused(name: str, given: Any) -> None:
    """Nothing raises but what says that it is no OTLP."""
    sent = document({**_SPAN, name: given})
    if name == "resource":
        sent["resourceSpans"][0]["resource"] = given
    try:
        batch = read_otlp_json(json.dumps(sent).encode())
    except OtlpError:
        return
    for each in batch.spans:
        request_of(each)


@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=5))
def test_attributes_of_any_type_become_a_request(given: dict[str, Any]) -> None:
    """A number where a text is meant, or a list, does not lose the span."""
    pairs = [{"key": name, "value": item} for name, item in {"http.method": {"stringValue": "GET"}, **given}.items()]
    batch = read_otlp_json(json.dumps(document({**_SPAN, "attributes": pairs})).encode())
    assert not batch.rejected, batch.reason
    found = request_of(batch.spans[0])
    assert found is not None
    assert found.path.startswith("/") or found.path
