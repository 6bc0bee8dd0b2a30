"""The whole analysis of a record: its parts together, what is missing said once, and nothing that cannot be sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.analysis.analyse import Analyser
from metlo_otel.analysis.endpoints import Endpoints
from metlo_otel.core.agent_config import AgentConfig, Authentication, Endpoint
from metlo_otel.core.record import Message, Record
from metlo_otel.reading.fields import Fields
from tests.analysis.records import config, json_record, message, record, refuse

SPEC = json.dumps(
    {
        "openapi": "3.0.0",
        "paths": {
            "/u/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}}}}
        },
    }
)
CONFIG: dict[str, Any] = {
    "endpoints": [
        {"host": "shop", "method": "GET", "path": "/u/{id}", "isGraphQl": False, "openapiSpecName": "s"},
        {"host": "shop", "method": "POST", "path": "/api/{any}", "isGraphQl": True, "openapiSpecName": None},
    ],
    "specs": [{"name": "s", "spec": SPEC}],
    "hostMap": [{"host": "shop", "pattern": r"shop\."}],
    "authenticationConfig": [{"host": "shop", "authType": "header", "headerKey": "X-Key"}],
}
QUERY = {"query": '{ user(mail: "bob@example.com") { id } }'}


def test_everything_together() -> None:
    """A full analysis tells types, classes, attacks, GraphQL paths and content types of one record."""
    seen: list[tuple[Record, Fields, tuple[str, ...]]] = []

    def detect(given_: Record, fields: Fields, paths: tuple[str, ...]) -> Mapping[str, list[str]]:
        seen.append((given_, fields, paths))
        return {"reqBody.query.user.__args.mail": ["SQLI"]}

    given_ = json_record(QUERY, {"data": {"user": {"id": 1}}}, path="/graphql")
    found = Analyser(AgentConfig(), refuse, detect=detect).analyse(given_)
    assert found.as_trace_data(tags=("t",), blocked=True) == {
        "block": True,
        "dataTypes": {
            "reqHeaders.Content-Type": ["string"],
            "reqBody.query.user.__args.mail": ["string"],
            "resHeaders.Content-Type": ["string"],
            "resBody.query.user.id": ["number"],
        },
        "sensitiveDataDetected": {"reqBody.query.user.__args.mail": ["Email"]},
        "attackDetections": {"reqBody.query.user.__args.mail": ["SQLI"]},
        "graphqlPaths": ["reqBody.query.user"],
        "requestTags": ["t"],
        "requestContentType": "application/json",
        "responseContentType": "application/json",
    }
    assert found.operations == ("query.user",)
    assert seen == [(given_, found.fields, ("reqBody.query.user",))]


def test_the_short_analysis() -> None:
    """A record that is only counted has attacks, GraphQL paths and content types, and nothing else."""
    analyser = Analyser(AgentConfig(), refuse, detect=lambda *_: {"reqBody": ["XSS"]})
    assert analyser.count(json_record(QUERY, path="/graphql")).as_trace_data() == {
        "block": False,
        "attackDetections": {"reqBody": ["XSS"]},
        "graphqlPaths": ["reqBody.query.user"],
        "requestContentType": "application/json",
        "responseContentType": "application/json",
    }


def test_specs_and_graphql_of_known_endpoints() -> None:
    """The backend's endpoints, found by the mapped host, say what is GraphQL and which spec an answer follows."""
    analyser = Analyser(config(CONFIG), refuse)
    wrong = json_record(None, {"a": "secret"}, host="shop.example", method="GET", path="/u/7")
    assert analyser.analyse(wrong).as_trace_data()["validationErrors"] == {"resBody": ["type: array"]}
    assert analyser.analyse(wrong).endpoint == Endpoint("shop", "GET", "/u/{id}", spec="s")
    assert analyser.analyse(json_record(QUERY, host="shop.example", path="/api/x")).graphql_paths == (
        "reqBody.query.user",
    )
    assert analyser.analyse(json_record(QUERY, host="other", path="/api/x")).graphql_paths == ()


def test_sessions_by_the_mapped_host() -> None:
    """How a host authenticates is looked up by its mapped name."""
    analyser = Analyser(config(CONFIG), refuse)
    sent = record(Message((("X-Key", "k"),)), host="shop.example", user="bob")
    assert analyser.authentication(sent) == Authentication("shop", "header", header_key="X-Key")
    assert analyser.session(sent, b"", show_user=False)["authType"] == "header"
    assert analyser.session(sent, b"", show_user=False)["user"] is None
    assert analyser.session(sent, b"", show_user=True)["user"] == "bob"


@pytest.mark.parametrize(("extra", "module"), [("graphql", "graphql"), ("openapi", "jsonschema_rs")])
def test_missing_extras_are_said_once(extra: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an extra the rest of the analysis stands, and what to install is said once."""
    monkeypatch.setitem(sys.modules, module, None)
    said: list[str] = []
    analyser = Analyser(config(CONFIG), said.append)
    for _ in range(3):
        assert analyser.analyse(json_record(QUERY, host="shop.example", path="/graphql")).data_types
        assert analyser.analyse(json_record(None, {}, host="shop.example", method="GET", path="/u/7")).data_types
    assert len(said) == 1
    assert f"metlo-otel[{extra}]" in said[0]


def test_the_automaton_steps_in_for_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the speed extra the same classes are found."""
    given_ = json_record({"mail": "bob@example.com", "card": "4111 1111 1111 1111"})
    usual = Analyser(AgentConfig(), refuse).analyse(given_).sensitive
    monkeypatch.setitem(sys.modules, "re2", None)
    assert Analyser(AgentConfig(), refuse).analyse(given_).sensitive == usual != {}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/a/b", "/a/b"),
        ("/a/c", "/a/{x}"),
        ("/a/c/", "/a/{x}"),
        ("/b/b", "/{x}/b"),
        ("/", "/"),
        ("/a", None),
        ("/a/b/c", None),
    ],
)
def test_endpoints(path: str, wanted: str | None) -> None:
    """Literal segments win over parameters, from the left; every segment must be there."""
    known = Endpoints(Endpoint("h", "GET", template) for template in ("/{x}/b", "/a/{x}", "/a/b", "/"))
    found = known.find("h", "GET", path)
    assert (found and found.path) == wanted
    assert known.find("other", "GET", path) is None
    assert known.find("h", "POST", path) is None


ANY_TEXT = st.text(st.characters(), max_size=12)
ANALYSER = Analyser(config(CONFIG), refuse)
TYPES = st.sampled_from(
    ["application/json", "application/graphql", "multipart/form-data; boundary=x", "text/html", "x/y+json", ""]
)
MESSAGES = st.builds(
    lambda kind, body, headers: message(body, kind, tuple(headers)),
    TYPES,
    st.one_of(st.binary(max_size=60), ANY_TEXT),
    st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=3),
)


@settings(deadline=None)
@given(
    MESSAGES,
    MESSAGES,
    st.sampled_from(["/graphql", "/u/1", "/api/x", "//", ""]),
    st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=3),
)
def test_any_record_gives_a_trace_that_can_be_sent(
    sent: Message, answered: Message, path: str, query: list[Any]
) -> None:
    """Whatever a record holds, what was found is JSON with keys that the backend knows."""
    given_ = record(sent, answered, path=path, query=tuple(query), host="shop.example")
    found = orjson.loads(orjson.dumps(ANALYSER.analyse(given_).as_trace_data()))
    for key in (*found.get("dataTypes", ()), *found.get("sensitiveDataDetected", ())):
        assert key.partition(".")[0] in ("reqQuery", "reqHeaders", "reqBody", "resHeaders", "resBody")
    orjson.dumps(ANALYSER.session(given_, b"k", show_user=True))
