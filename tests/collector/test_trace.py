"""Checking received traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from metlo_otel.collector.database import begin_writing, open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.inventory import Inventory
from metlo_otel.collector.trace import Found, Trace, TraceError, read_trace
from metlo_otel.core.guessing import guess_template
from tests.collector.client import make_trace
from tests.profiles import examples

_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_ANY = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_PLACES = (
    ("request",),
    ("request", "method"),
    ("request", "url"),
    ("request", "url", "host"),
    ("request", "url", "path"),
    ("request", "url", "endpointPath"),
    ("request", "url", "parameters"),
    ("request", "headers"),
    ("request", "body"),
    ("request", "user"),
    ("response",),
    ("response", "status"),
    ("response", "headers"),
    ("response", "body"),
    ("meta",),
    ("meta", "source"),
    ("processedTraceData",),
    ("processedTraceData", "block"),
    ("processedTraceData", "dataTypes"),
    ("processedTraceData", "attackDetections"),
    ("processedTraceData", "attackCategories"),
    ("redacted",),
    ("sessionMeta",),
    ("sessionMeta", "uniqueSessionKey"),
    ("sessionMeta", "user"),
    ("encryption",),
    ("analysisType",),
    ("graphqlPaths",),
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection to a database of its own, whose changes nobody keeps."""
    engine = open_database(str(tmp_path_factory.mktemp("trace") / "x.db"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _path(connection: Connection, trace: Trace) -> str:
    """The path of the endpoint that a trace belongs to."""
    found = Inventory(lambda host: host).find(connection, trace, 1).key.path
    connection.rollback()
    return found


def _put(trace: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    *way, last = place
    holder = trace
    for step in way:
        holder = holder[step]
    holder[last] = value
    return trace


def test_a_whole_trace() -> None:
    """All that is searched by later is read out of a trace, and the document holds what was sent."""
    sent = make_trace(
        "/a?b=1", 403, processedTraceData={"block": True, "attackDetections": {"reqQuery.q": ["XSS", "SQLI"]}}
    )
    sent["sessionMeta"]["user"] = "anna"
    trace = read_trace({**sent, "unheard": 1}, 2)
    assert trace == Trace(
        version=2,
        host="shop.example",
        method="GET",
        path="/a",
        route=None,
        status=403,
        source="192.0.2.7",
        user="anna",
        session="abc=",
        blocked=True,
        attacks=("SQLI", "XSS"),
        redacted=False,
        whole=True,
        document=trace.document,
        findings=(Found("reqQuery.q", "XSS"), Found("reqQuery.q", "SQLI")),
    )
    assert orjson.loads(trace.document) == sent


@settings(deadline=None, max_examples=examples(200))
@given(place=st.sampled_from(_PLACES), value=_ANY)
def test_anything_anywhere(connection: Connection, place: tuple[str, ...], value: Any) -> None:
    """A wrong value anywhere in a trace gives TraceError that names a place, or a trace that can be stored."""
    with suppress(TraceError):
        trace = read_trace(_put(make_trace(), place, value), 2)
        assert isinstance(orjson.loads(trace.document), dict)
        begin_writing(connection)
        Ingest().write(connection, [trace], 1_700_000_000_000)
        connection.rollback()


@given(_ANY)
def test_anything_at_all(value: Any) -> None:
    """What is not a trace at all is refused in words."""
    with pytest.raises(TraceError):
        read_trace(value, 1)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("request", "url", "host"), None, "request.url.host: a text that is not empty is expected, not null"),
        (("response", "status"), True, "response.status: a whole number from 100 to 599 is expected, not true"),
        (("response", "status"), "200", "response.status: a whole number from 100 to 599 is expected, not '200'"),
        (("request", "url", "path"), "items", "request.url.path: a path that starts with / is expected, not 'items'"),
        (
            ("request", "headers"),
            [{"name": "a"}],
            "request.headers[0]: an object with the texts name and value is expected",
        ),
        (("analysisType",), "half", "analysisType: full or partial is expected, not 'half'"),
    ],
)
def test_messages(place: tuple[str, ...], value: Any, message: str) -> None:
    """The message says where it is wrong, what was expected and what was there."""
    with pytest.raises(TraceError) as problem:
        read_trace(_put(make_trace(), place, value), 2)
    assert str(problem.value) == message


def test_too_deep_to_write() -> None:
    """A trace nested too deeply to be written is refused by itself, so the rest of its batch is stored."""
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(TraceError, match="cannot be written"):
        read_trace(make_trace(graphqlPaths=deep), 2)


def test_version_1_needs_no_analysis() -> None:
    """Raw traces of older agents come without what an agent found out."""
    sent = {key: value for key, value in make_trace().items() if key in ("request", "response", "meta")}
    assert read_trace(sent, 1).whole
    with pytest.raises(TraceError):
        read_trace(sent, 2)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/items/17/parts/-3", "/items/{param1}/parts/{param2}"),
        ("/u/6F9619FF-8B86-D011-B42D-00CF4FC964FF", "/u/{param1}"),
        ("/days/2024-02-29/x", "/days/{param1}/x"),
        ("/blob/9e107d9d372bb6826bd81d3542a419d6", "/blob/{param1}"),
        ("/reset/eyJhbGciOiJIUzI1NiJ9abc12", "/reset/{param1}"),
        ("/v1/products/top-ten-teapots-of-the-year", "/v1/products/top-ten-teapots-of-the-year"),
        ("/api/v2/users/me", "/api/v2/users/me"),
        ("//a//", "//a//"),
    ],
)
def test_guessed_templates(path: str, template: str) -> None:
    """Values in a path become parameters, words stay."""
    assert guess_template(path) == template


def test_a_frameworks_route_wins(connection: Connection) -> None:
    """endpointPath names the endpoint; one that is no template is not believed; NUL never reaches a database."""
    sent = make_trace("/items/7")
    sent["request"]["url"]["endpointPath"] = "/items/{item_id}"
    assert _path(connection, read_trace(sent, 2)) == "/items/{item_id}"
    sent["request"]["url"]["endpointPath"] = "/items/<int:id>"
    assert _path(connection, read_trace(sent, 2)) == "/items/{param1}"
    assert "\0" not in _path(connection, read_trace(make_trace("/a\0b"), 2))


@pytest.mark.parametrize("version", [1, 2])
def test_a_host_with_a_scheme(version: int) -> None:
    """Original Django agents write one before the host, in both versions; the stored document is as it came."""
    sent = make_trace()
    sent["request"]["url"]["host"] = "http://shop.example:8000"
    trace = read_trace(sent, version)
    assert trace.host == "shop.example:8000"
    assert orjson.loads(trace.document)["request"]["url"]["host"] == "http://shop.example:8000"
