"""What must hold of every v2 trace, and that ours says what the recorded ones say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.trace import Found, read_trace
from metlo_otel.core.agent_config import AgentConfig, parse_agent_config
from metlo_otel.core.aggregates import Aggregates, document
from metlo_otel.core.processed import Fragment, Processed, Session
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.export.wire import UnsendableError, encode, sendable_path, trace_of
from tests.export.exchanges import wsgi_exchange
from tests.export.test_reading import read
from tests.export.test_spans import records
from tests.shared import SHARED, needs_shared

LOCAL = read_settings({"api_key": "k", "host": "http://127.0.0.1"}, {})
REMOTE = read_settings({"api_key": "k", "host": "https://app.metlo.com"}, {})
ASKED = read_settings({"api_key": "k", "host": "https://app.metlo.com", "disable_e2ee": True}, {})
OPEN = AgentConfig(full_capture=True)
JSON = (("Content-Type", "application/json"), ("User-Agent", "t/1"))
RECORD = Record(
    method="POST",
    scheme="http",
    host="shop.example",
    path="/users/7",
    query=(("q", "1"), ("q", "2")),
    request=Message(JSON, b'{"a":1}', 7),
    response=Message(JSON[:1], b"[]", 2),
    status=201,
    source=("1.2.3.4", 5),
    destination=("10.0.0.1", 80),
    route="/users/{id}",
    user="u7",
    trace_id=1,
    span_id=2,
)


@needs_shared
@given(records, st.booleans())
def test_every_trace_satisfies_the_schema(record: Record, full: bool) -> None:
    """Whatever the request was, with and without content."""
    assert SHARED is not None
    schema = json.loads((SHARED / "contract/v2-trace.schema.json").read_text())
    record = replace(record, method="GET" if record.method == "PURGE" else record.method)
    trace = json.loads(encode(trace_of(record, AgentConfig(full_capture=full), LOCAL)))
    jsonschema.validate(trace, schema)


@given(st.text(max_size=30))
def test_paths_are_sent_normalised(path: str) -> None:
    """They begin with a slash, hold none of the forbidden characters and at most one empty segment."""
    sent = sendable_path(path)
    assert sent.startswith("/")
    assert not set(sent) & set("\\?<>&=\0\r\n")
    assert sent.split("/")[1:].count("") <= 1
    assert sendable_path(sent) == sent


def test_paths_keep_what_they_may() -> None:
    """One empty segment and a last slash stay; what is forbidden is percent-encoded."""
    assert sendable_path("/a//b") == "/a//b"
    assert sendable_path("//a//b/") == "/a/b/"
    assert sendable_path("/a/") == "/a/"
    assert sendable_path("/<x>=\\") == "/%3Cx%3E%3D%5C"


@pytest.mark.parametrize(
    ("host", "sent"), [("", "10.0.0.1"), ("a\r\nb: c", "ab:c"), ("\r\n", "10.0.0.1"), ("x:99999", "x:99999")]
)
def test_the_host_is_always_a_text(host: str, sent: str) -> None:
    """Never empty, never with a line break."""
    assert trace_of(replace(RECORD, host=host), OPEN, LOCAL)["request"]["url"]["host"] == sent
    nowhere = replace(RECORD, host="", destination=("", None))
    assert trace_of(nowhere, OPEN, LOCAL)["request"]["url"]["host"] == "unknown"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "PURGE"}, "method"),
        ({"method": ""}, "method"),
        ({"status": 0}, "status"),
        ({"status": 600}, "status"),
    ],
)
def test_what_the_backend_would_lose_is_not_sent(change: Any, reason: str) -> None:
    """A method that is none of the standard's, a status that is none."""
    with pytest.raises(UnsendableError) as found:
        trace_of(replace(RECORD, **change), OPEN, LOCAL)
    assert found.value.reason == reason


def test_categories_that_the_backend_does_not_know() -> None:
    """It is told the nearest that it knows, ours stand beside them; where it knows all, nothing does."""
    found = Processed(attacks={"reqBody.a": ["SSTI", "XSS"], "reqHeaders.user-agent": ["SCANNER"]})
    told = trace_of(RECORD, OPEN, LOCAL, found)["processedTraceData"]
    assert told["attackDetections"] == {"reqBody.a": ["COMMAND_EXECUTION", "XSS"]}
    assert told["attackCategories"] == found.attacks
    told = trace_of(RECORD, OPEN, LOCAL, Processed(attacks={"reqBody.a": ["XSS"]}))["processedTraceData"]
    assert (told["attackDetections"], "attackCategories" in told) == ({"reqBody.a": ["XSS"]}, False)


def test_a_whole_trace() -> None:
    """Every field of a captured exchange."""
    trace = trace_of(RECORD, OPEN, LOCAL, Processed({"reqBody.a": ["number"]}), Session(True, True, "jwt", "key", "u8"))
    assert trace == {
        "request": {
            "method": "POST",
            "url": {
                "host": "shop.example",
                "path": "/users/7",
                "endpointPath": "/users/{id}",
                "parameters": [{"name": "q", "value": "1"}, {"name": "q", "value": "2"}],
            },
            "headers": [{"name": name, "value": value} for name, value in JSON],
            "body": '{"a":1}',
            "user": "u7",
        },
        "response": {
            "status": 201,
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "body": "[]",
        },
        "meta": {
            "environment": "production",
            "incoming": True,
            "source": "1.2.3.4",
            "sourcePort": 5,
            "destination": "10.0.0.1",
            "destinationPort": 80,
            "originalSource": None,
            "scheme": "http",
            "ruleId": None,
            "requestBodySize": 7,
            "requestBodyTruncated": False,
            "requestBodyBinary": False,
            "responseBodySize": 2,
            "responseBodyTruncated": False,
            "responseBodyBinary": False,
            "exchangeId": None,
            "traceId": "0" * 31 + "1",
            "spanId": "0" * 15 + "2",
            "startedAt": 0,
            "durationMicroseconds": 0,
        },
        "processedTraceData": {
            "block": False,
            "dataTypes": {"reqBody.a": ["number"]},
            "sensitiveDataDetected": {},
            "attackDetections": {},
            "graphqlPaths": [],
            "validationErrors": {},
            "requestTags": [],
            "requestContentType": "application/json",
            "responseContentType": "application/json",
        },
        "redacted": False,
        "sessionMeta": {
            "authenticationProvided": True,
            "authenticationSuccessful": True,
            "authType": "jwt",
            "uniqueSessionKey": "key",
            "user": "u8",
            "userAgent": "t/1",
        },
        "analysisType": "full",
    }


def test_a_redacted_trace_holds_no_content() -> None:
    """No parameter, header, body or user; the rest stays."""
    trace = trace_of(RECORD, AgentConfig(), LOCAL, session=Session(True, True, "jwt", "key", "u8"))
    assert trace["redacted"] is True
    assert trace["request"] == {
        "method": "POST",
        "url": {"host": "shop.example", "path": "/users/7", "endpointPath": "/users/{id}", "parameters": []},
        "headers": [],
        "body": "",
        "user": None,
    }
    assert trace["response"] == {"status": 201, "headers": [], "body": ""}
    assert trace["sessionMeta"]["user"] is None
    assert trace["sessionMeta"]["uniqueSessionKey"] == "key"


@pytest.mark.parametrize("full", [False, True])
def test_how_sure_an_attack_is(full: bool) -> None:
    """Told in every trace; what gave the attack away is content, and leaves only where content does."""
    found = Fragment("reqQuery.q", "SQLI", "low", "1 OR 1=1")
    processed = Processed(attacks={"reqQuery.q": ["SQLI"]}, fragments=(found,))
    trace = trace_of(RECORD, AgentConfig(full_capture=full), LOCAL, processed)
    told = {"key": "reqQuery.q", "type": "SQLI", "confidence": "low"}
    assert trace["processedTraceData"]["attackFragments"] == [told | ({"fragment": "1 OR 1=1"} if full else {})]
    assert read_trace(trace, 2).findings == (Found("reqQuery.q", "SQLI", "low", "1 OR 1=1" if full else None),)


@pytest.mark.parametrize(
    ("settings", "key", "encrypts", "leaves"),
    [
        (LOCAL, None, False, "plain"),
        (REMOTE, None, False, "redacted"),
        (ASKED, None, False, "plain"),
        (ASKED, "PEM", True, "plain"),
        (LOCAL, "PEM", True, "encrypted"),
        (REMOTE, "PEM", True, "encrypted"),
        (REMOTE, "PEM", False, "redacted"),
        (LOCAL, "PEM", False, "redacted"),
        (LOCAL, "", True, "redacted"),
    ],
)
def test_how_content_leaves(settings: Settings, key: str | None, encrypts: bool, leaves: str) -> None:
    """In clear only to this machine or when asked; encrypted where there is a key; else not at all."""
    config = AgentConfig(full_capture=True, encryption_key=key)
    trace = trace_of(
        RECORD, config, settings, encrypt=(lambda trace, _: {**trace, "encryption": {}}) if encrypts else None
    )
    assert trace["redacted"] is (leaves == "redacted")
    assert ("encryption" in trace) is (leaves == "encrypted")
    assert trace_of(RECORD, replace(config, full_capture=False), settings)["redacted"] is True


def test_an_endpoint_s_own_flag() -> None:
    """fullTraceCaptureEnabled opens one endpoint of one host and method, the host mapped."""
    endpoint = {"host": "mapped", "method": "POST", "path": "/users/{id}", "fullTraceCaptureEnabled": True}
    document = {"endpoints": [endpoint], "hostMap": [{"host": "mapped", "pattern": "^shop"}]}
    config = parse_agent_config(document, pytest.fail)
    assert trace_of(RECORD, config, LOCAL)["redacted"] is False
    assert trace_of(RECORD, config, LOCAL)["request"]["url"]["host"] == "shop.example"
    for change in ({"method": "GET"}, {"host": "other"}, {"path": "/users/7/x"}, {"path": "/users"}):
        assert trace_of(replace(RECORD, **change), config, LOCAL)["redacted"] is True  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"hostBlockList": ["shop"]}, "host_blocked"),
        ({"hostBlockList": ["^mapped$"], "hostMap": [{"host": "mapped", "pattern": "shop"}]}, "host_blocked"),
        ({"pathBlockList": [{"host": "shop", "paths": ["^/x", "^/users"]}]}, "path_blocked"),
        ({"pathBlockList": [{"host": "other", "paths": ["^/users"]}]}, None),
        ({"pathBlockList": [{"host": ".*", "paths": ["^/search"]}]}, None),
    ],
)
def test_block_lists_keep_traces_here(document: Any, reason: str | None) -> None:
    """Hosts and paths that the backend does not want are not sent."""
    config = parse_agent_config(document, pytest.fail)
    if reason is None:
        assert trace_of(RECORD, config, LOCAL)["redacted"] is True
        return
    with pytest.raises(UnsendableError, match=reason):
        trace_of(RECORD, config, LOCAL)


@pytest.mark.parametrize(
    ("media", "body", "size", "text", "binary"),
    [
        ("application/octet-stream", bytes(range(256)), 256, "", True),
        ("image/png", b"text", 4, "", True),
        ("text/plain", "a世".encode()[:2], 4, "a", False),
        ("text/html; charset=latin-1", b"\xe9", 1, "é", False),
        ("application/json", b'{"a":"\xff"}', 9, '{"a":"\ufffd"}', False),
        ("text/plain; charset=utf-16", "a".encode("utf-16"), 4, "", True),
        ("text/plain; charset=no-such", b"a", 1, "", True),
        ("", b"\xff\xfe\xfd", 3, "", True),
        ("", b"words", 5, "words", False),
    ],
)
def test_bodies_are_text_or_nothing(media: str, body: bytes, size: int, text: str, binary: bool) -> None:
    """Binary is told by size and type; a character cut in half is left out, not mangled."""
    message = Message((("Content-Type", media),), body, size)
    trace = trace_of(replace(RECORD, response=message), OPEN, LOCAL)
    assert trace["response"]["body"] == text
    assert trace["meta"]["responseBodyBinary"] is binary
    assert trace["meta"]["responseBodySize"] == size
    assert trace["processedTraceData"]["responseContentType"] == media


def test_half_a_character_loses_no_trace() -> None:
    """Lone surrogates become question marks, wherever they stand."""
    odd = replace(RECORD, user="u\ud800", query=(("\udfff", "x"),), path="/\ud800", request=Message((("A", "\ud800"),)))
    trace = json.loads(encode(trace_of(odd, OPEN, LOCAL, Processed({"reqQuery.\udfff": ["string"]}))))
    assert trace["request"]["user"] == "u?"
    assert trace["request"]["url"]["path"] == "/%3F"


# Where the recorded agent is known to be wrong: forms, what is binary or compressed, files, the forwarded address
# of anybody, a body that HEAD never had. It also keeps only the first of repeated parameters and does not cut bodies.
_FAULTS = (
    "multipart_text",
    "multipart_binary",
    "binary_response",
    "post_binary",
    "gzip_response",
    "file_response",
    "post_form",
    "head",
    "get_query",
    "x_forwarded_for",
)


def _recorded() -> list[Any]:
    if SHARED is None:
        return []
    paths = sorted((SHARED / "contract/recorded/flask").glob("*.json"))
    wanted = [path for path in paths if path.name.startswith(("capture_plain__", "redacted__"))]
    return [
        pytest.param(path, id=path.stem)
        for path in wanted
        if not path.stem.endswith(_FAULTS[-1:] if "redacted" in path.stem else _FAULTS)
    ]


@needs_shared
@pytest.mark.parametrize("path", _recorded())
def test_traces_equal_the_recorded_ones(path: Path) -> None:
    """For the same request and response: request, response and meta, ports and the order of headers aside."""
    case = json.loads(path.read_text())
    (expected,) = [trace for sent in case["agent_sent"] for trace in sent["json"]]
    options = {"api_key": "k", "host": "http://127.0.0.1", "masked_fields": []}
    settings = read_settings({**options, "disable_e2ee": case["agent_env"].get("METLO_DISABLE_E2EE", "false")}, {})
    trace = trace_of(_record(case, expected), parse_agent_config(case["agent_config"], pytest.fail), settings)
    for side in ("request", "response"):
        for found in (trace[side], expected[side]):
            found["headers"].sort(key=str)
        assert trace[side] == expected[side]
    ports = {"sourcePort": 0, "destinationPort": 0}
    assert {**trace["meta"], **ports}.items() >= {**expected["meta"], **ports}.items()
    assert trace["sessionMeta"]["userAgent"] == expected["sessionMeta"]["userAgent"]
    for name in ("requestContentType", "responseContentType", "block"):
        assert trace["processedTraceData"][name] == expected["processedTraceData"][name]


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return base64.b64decode(body["base64"]) if "base64" in body else body["text"].encode()


def _record(case: Any, expected: Any) -> Record:
    """The record of the recorded request; the response's headers are those that the agent saw, where it says."""
    (request,), (response,) = case["requests"], case["app_responses"]
    target, _, query = request["target"].partition("?")
    sent = {
        "Accept-Encoding": "identity",
        **({"Content-Length": str(len(_bytes(request["body"])))} if request["body"] else {}),
    }
    headers = {**sent, **request["headers"]}
    environ = {
        ("" if name.startswith("Content-") else "HTTP_") + name.upper().replace("-", "_"): value
        for name, value in headers.items()
    }
    exchange = wsgi_exchange(
        _bytes(request["body"]),
        expected["response"]["body"].encode() if response["status"] == 204 else _bytes(response["body"]),
        response["status"],
        100_000,
        SERVER_NAME="127.0.0.1",
        **{**environ, "REQUEST_METHOD": request["method"], "PATH_INFO": _decoded(target), "QUERY_STRING": query},
    )
    seen = expected["response"]["headers"] or [{"name": n, "value": v} for n, v in response["headers"].items()]
    exchange.response_headers = [(header["name"], header["value"]) for header in seen]
    return read(exchange)


def _decoded(path: str) -> str:
    return unquote(path, "latin-1")


def test_who_has_a_service_tells_it(settings: Callable[..., Settings]) -> None:
    """Its name and language stand in `meta`, and nothing does where there is none: the bytes are as they were."""
    told = trace_of(RECORD, OPEN, settings(service_name="shop"))
    assert (told["meta"].pop("service"), told["meta"].pop("language")) == ("shop", "python")
    assert encode(told) == encode(trace_of(RECORD, OPEN, settings()))
    sums = Aggregates().take()
    named, bare = document(sums, 1, 2, "eu", "shop"), document(sums, 1, 2, "eu")
    assert (named["service"], named["language"]) == ("shop", "python")
    assert bare == {
        "version": 1, "started": 1, "ended": 2, "environment": "eu", "service": None, "series": [], "actors": [],
        "overflow": {"series": 0, "actors": 0},
    }  # fmt: skip
