"""Descriptions made of what was observed, and how they differ from written ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from metlo_otel.collector.configuration import configure
from metlo_otel.collector.openapi import describe_host, to_yaml
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.spec_diff import compare
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from tests.collector.client import Client, make_trace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "x.db"), duties=False)
    yield store
    store.close()


def _user(number: int, **more: Any) -> dict[str, Any]:
    sent = make_trace(f"/users/{number}", **more)
    sent["request"]["url"]["endpointPath"] = "/users/{user_id}"
    sent["sessionMeta"]["authenticationProvided"] = True
    body = {"id": number, "email": "anna@shop.example", "born": "1990-02-28", "tags": [{"name": "a"}], "score": 1.5}
    types = {
        "resBody.id": ["number"],
        "resBody.email": ["string"],
        "resBody.born": ["string"],
        "resBody.score": ["number"],
    }
    if number % 2:
        types["resBody.nick"] = ["string", "null"]
    sent["response"]["body"] = json.dumps(body)
    sent["processedTraceData"] = {
        "block": False,
        "requestContentType": "",
        "responseContentType": "application/json; charset=utf-8",
        "dataTypes": {
            **types,
            "resBody.tags.[].name": ["string"],
            "reqQuery.q": ["string"],
            "reqHeaders.X-Shop": ["string"],
        },
        "sensitiveDataDetected": {"resBody.email": ["Email"]},
    }
    return sent


def _add(store: Store, *traces: dict[str, Any]) -> None:
    store.add([read_trace(trace, 2) for trace in traces]).result()


def _describe(store: Store, host: str = "shop.example") -> dict[str, Any]:
    described = store.read(partial(describe_host, host=host))
    assert described is not None
    OpenAPIV31SpecValidator(described).validate()
    return described


def test_types_formats_and_classes(store: Store) -> None:
    """Types, formats of values, what is always there, what may be null, classes of data and authentication."""
    jwt = [{"host": "shop.example", "authType": "jwt", "headerKey": "Authorization"}]
    store.change(partial(configure, name="authenticationConfig", value=jwt)).result()
    _add(store, _user(7), _user(8), _user(9, status=404))
    described = _describe(store)
    operation = described["paths"]["/users/{user_id}"]["get"]
    assert described["paths"]["/users/{user_id}"]["parameters"] == [
        {"name": "user_id", "in": "path", "required": True, "schema": {"type": "integer"}}
    ]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {
        "type": "object",
        "properties": {
            "born": {"type": "string", "format": "date"},
            "email": {"type": "string", "format": "email", "x-data-classes": ["Email"]},
            "id": {"type": "integer"},
            "nick": {"type": ["string", "null"]},
            "score": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        },
        "required": ["born", "email", "id", "score", "tags"],
    }
    assert {(each["in"], each["name"]) for each in operation["parameters"]} == {("query", "q"), ("header", "X-Shop")}
    assert set(operation["responses"]) == {"200", "404"}
    assert operation["security"] == [{"observed": []}]
    assert described["components"]["securitySchemes"]["observed"]["scheme"] == "bearer"
    assert "email:" in to_yaml(described)


def test_blocked_requests_describe_nothing(store: Store) -> None:
    """What was rejected did not reach the app: neither its path, fields and values nor our answer are the API's."""
    blocked = _user(8, status=403)
    blocked["processedTraceData"]["block"] = True
    blocked["processedTraceData"]["dataTypes"] = {"resBody.error": ["string"], "resHeaders.X-Ours": ["string"]}
    blocked["request"]["url"]["path"] = "/users/eight"
    _add(store, blocked)
    assert store.read(partial(describe_host, host="shop.example")) is None
    invented = make_trace("/.env", 403, processedTraceData={"block": True})
    _add(store, _user(7), blocked, invented, _user(9, status=404))
    described = _describe(store)
    assert list(described["paths"]) == ["/users/{user_id}"]
    item = described["paths"]["/users/{user_id}"]
    assert set(item["get"]["responses"]) == {"200", "404"}
    assert item["parameters"][0]["schema"] == {"type": "integer"}
    _add(store, _user(7, status=403))  # the app's own
    own = _describe(store)["paths"]["/users/{user_id}"]["get"]["responses"]["403"]
    properties = own["content"]["application/json"]["schema"]["properties"]
    assert "email" in properties
    assert "error" not in properties


def test_graphql_operations_are_one_operation(store: Store) -> None:
    """Operations of GraphQL are endpoints of their own, and one operation of the description, which names them."""
    for name in ("query.user", "mutation.pay"):
        _add(store, make_trace("/graphql", graphqlPaths=[name + ".id"]))
    assert _describe(store)["paths"]["/graphql"]["get"]["x-graphql-operations"] == ["mutation.pay", "query.user"]


@pytest.mark.parametrize(
    "path",
    ["/a{b", "/{a}}/{", "/{}/{}", "/{a}/{a}", "/{a.b}/{0[x]}/{x!r:>9}", "/%zz", "/ü{ü}", "/" + "{x}/" * 60, "/$ref/~1"],
)
def test_hostile_paths(store: Store, path: str) -> None:
    """Whatever paths, names and media types came, the description is valid."""
    sent = make_trace("/x")
    sent["request"]["url"] |= {"path": path, "endpointPath": path}
    sent["processedTraceData"] = {
        "responseContentType": "<b>/\"'",
        "dataTypes": {
            "resBody.$ref": ["string"],
            "resBody..": ["null"],
            "reqQuery.": ["unknown"],
            "reqHeaders.": ["array"],
        },
        "sensitiveDataDetected": {"reqBody.[].[]": ["<script>"]},
    }
    _add(store, sent)
    _describe(store)


def test_what_the_recordings_give_is_valid(
    client: Client, collector: RunningCollector, recorded: list[tuple[str, dict[str, Any]]]
) -> None:
    """The description of every host in the recordings is valid."""
    for _, case in recorded:
        for call in case["agent_sent"]:
            if call["method"] == "POST" and "json" in call:
                assert client.session.post(client.url + call["path"], json=call["json"], timeout=10).text == "OK"
    hosts = {item["host"] for item in client.items("endpoints", limit=500)} - {"*"}
    assert hosts
    for host in hosts:
        assert _describe(collector.store, host)["paths"]


def test_differences(store: Store) -> None:
    """What was seen and is not described, what is described otherwise, and what was never called."""
    _add(store, _user(7), _user(8, status=500), make_trace("/secret"))
    person = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "email": {"type": "string"},
            "tags": {"type": "array", "items": {"$ref": "#/components/schemas/Tag"}},
            "score": {"type": ["number", "null"]},
            "nick": {"type": ["string", "null"]},
        },
    }
    written = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "servers": [{"url": "https://shop.example/users"}],
        "paths": {
            "/{id}": {
                "get": {
                    "parameters": [{"name": "page", "in": "query", "required": True, "schema": {"type": "integer"}}],
                    "responses": {"2XX": {"content": {"application/json": {"schema": person}}}},
                },
                "delete": {"responses": {"204": {"description": "x"}}},
            }
        },
        "components": {"schemas": {"Tag": {"type": "object", "properties": {"label": {"type": "string"}}}}},
    }
    found = {(each.method, each.path, each.place, each.what) for each in compare(_describe(store), json.dumps(written))}
    of = ("GET", "/users/{user_id}")
    assert found == {
        ("GET", "/secret", "", "was called, but is not described"),
        ("DELETE", "/{id}", "", "is described, but was never called"),
        (*of, "query q", "was sent, but is not described"),
        (*of, "response 500", "was answered, but is not described"),
        (*of, "response 200 .id", "is integer, but is described as string"),
        (*of, "response 200 .born", "was seen, but is not described"),
        (*of, "response 200 .tags[] .name", "was seen, but is not described"),
    }


@pytest.mark.parametrize("text", ["", "[]", "{", '{"openapi": "2.0", "paths": {}}', "paths: [", "&a [*a]"])
def test_what_is_no_description(text: str) -> None:
    """Other texts are refused in words."""
    with pytest.raises(ValueError, match="cannot be read"):
        compare({}, text)


def test_a_parameter_that_some_requests_lack_is_not_required(store: Store) -> None:
    """Also where those have no query at all."""
    without = _user(8)
    del without["processedTraceData"]["dataTypes"]["reqQuery.q"]
    _add(store, _user(7), without)
    (query,) = [
        each for each in _describe(store)["paths"]["/users/{user_id}"]["get"]["parameters"] if each["in"] == "query"
    ]
    assert query == {"name": "q", "in": "query", "schema": {"type": "string"}}
