"""For the requests that were recorded with the original agent our traces say what its traces said, its faults apart."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.agent import Agent
from metlo_otel.fastapi import ASGIMiddleware
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from tests.contract import asgi_driver, wire_rules, wsgi_driver
from tests.contract.apps import recorded_fastapi, recorded_flask
from tests.contract.http import Answer, Call
from tests.shared import SHARED, needs_shared

Case = dict[str, Any]
Trace = dict[str, Any]

SERVER = ("127.0.0.1", 18450)
CLIENT = ("127.0.0.1", 40_000)
MAX_BODY = 5120
SERVERS_OWN = ("server", "connection", "transfer-encoding", "date")

FOLDER = None if SHARED is None else SHARED / "contract" / "recorded"


def _cases() -> list[Any]:
    """The recordings by name; one that is skipped where there are none."""
    found = (
        [] if FOLDER is None else sorted([*FOLDER.glob("*/capture_plain__*.json"), *FOLDER.glob("*/redacted__*.json")])
    )
    return [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in found] or [None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Where our trace differs from the recorded one, and why that is right: `put` makes the recorded one right."""

    why: str
    put: Callable[[Trace, Case], None]


def whole_query(trace: Trace, case: Case) -> None:
    names = [pair.partition("=")[::2] for pair in case["requests"][0]["target"].partition("?")[2].split("&")]
    trace["request"]["url"]["parameters"] = [{"name": name, "value": value} for name, value in names]


def decoded_query(trace: Trace, case: Case) -> None:
    values = {"q": "café & tea", "x": "a=b"}
    trace["request"]["url"]["parameters"] = [{"name": name, "value": value} for name, value in values.items()]


def request_body(trace: Trace, case: Case) -> None:
    trace["request"]["body"] = content(case["requests"][0]["body"]).decode()


def upload_without_file(trace: Trace, case: Case) -> None:
    body = content(case["requests"][0]["body"])
    start, end = body.rindex(b"\r\n\r\n") + 4, body.rindex(b"\r\n--BOUND--")
    placeholder = f"[file, {end - start} bytes]".encode()
    trace["request"]["body"] = (body[:start] + placeholder + body[end:]).decode()


def cut_bodies(trace: Trace, case: Case) -> None:
    for part in ("request", "response"):
        trace[part]["body"] = trace[part]["body"].encode()[:MAX_BODY].decode("utf-8", "ignore")


def response_body_cut(trace: Trace, case: Case) -> None:
    trace["response"]["body"] = content(case["app_responses"][0]["body"])[:MAX_BODY].decode("utf-8", "ignore")


def peer_as_source(trace: Trace, case: Case) -> None:
    trace["meta"]["source"], trace["meta"]["originalSource"] = "127.0.0.1", None


def headers_as_sent(trace: Trace, case: Case) -> None:
    headers = case["app_responses"][0]["headers"]
    kept = [name for name in headers if name.lower() not in SERVERS_OWN]
    trace["response"]["headers"] = [{"name": name, "value": headers[name]} for name in kept]


def host_header(trace: Trace, case: Case) -> None:
    trace["request"]["url"]["host"] = case["requests"][0]["headers"]["Host"]


FAULTS: dict[str, list[Fault]] = {
    "flask-capture_plain__get_query": [Fault("a repeated parameter was told once", whole_query)],
    "flask-capture_plain__post_form": [Fault("fault 3: forms appear empty", request_body)],
    "flask-capture_plain__post_multipart_text": [Fault("fault 3: forms appear empty", upload_without_file)],
    "flask-capture_plain__post_multipart_binary": [Fault("fault 3: forms appear empty", upload_without_file)],
    "flask-capture_plain__post_large_json": [Fault("MAX_BODY was not heeded in Flask", cut_bodies)],
    "flask-capture_plain__large_response": [Fault("MAX_BODY was not heeded in Flask", cut_bodies)],
    "flask-capture_plain__unicode_cut_at_5k": [Fault("MAX_BODY was not heeded in Flask", cut_bodies)],
    "flask-capture_plain__x_forwarded_for": [
        Fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_source)
    ],
    "flask-capture_plain__options": [
        Fault("what Werkzeug adds on the way to the client was not seen", headers_as_sent)
    ],
    "flask-capture_plain__status_204": [
        Fault("what Werkzeug drops on the way to the client was told", headers_as_sent)
    ],
    "flask-redacted__x_forwarded_for": [Fault("fault 8: X-Forwarded-For was believed from anyone", peer_as_source)],
    "fastapi-capture_plain__get_query_encoded": [Fault("fault 2: the query was not decoded", decoded_query)],
    "fastapi-capture_plain__unicode_cut_at_5k": [Fault("a cut within a character emptied the body", response_body_cut)],
}
EVERY_FASTAPI = Fault("the host was the server's address, not the Host header", host_header)

# Where the original agent sent nothing at all, and what we tell of the bodies.
LOST = {
    "flask-capture_plain__binary_response": ("fault 8: a binary response lost the trace", "", ""),
    "flask-capture_plain__file_response": ("fault 8: a file response lost the trace", "", '{"a":1}'),
    "flask-capture_plain__gzip_response": (
        "fault 8: a compressed response lost the trace",
        "",
        '{"email": "alice@example.com"}',
    ),
    "flask-capture_plain__post_binary": ("fault 8: a binary request lost the trace", "", '{"n":256}\n'),
    "fastapi-capture_plain__unhandled_exception": (
        "fault 2: an exception in the app lost the trace",
        "",
        "Internal Server Error",
    ),
}


def content(body: dict[str, str] | None) -> bytes:
    """The bytes of a recorded body."""
    if body is None:
        return b""
    return body["text"].encode() if "text" in body else base64.b64decode(body["base64"])


def call_of(request: dict[str, Any]) -> Call:
    """The recorded request, with the headers that the recorder's client added."""
    body = content(request["body"])
    headers = (("Accept-Encoding", "identity"), *request["headers"].items())
    return Call(request["method"], request["target"], headers, (body,) if body else (), client=CLIENT, server=SERVER)


def replay(case: Case, collector: MemoryCollector) -> tuple[list[Answer], list[Trace]]:
    """The answers of the app behind the recording, and our traces."""
    options: dict[str, Any] = {
        "MASKED_FIELDS": [],
        "ENCRYPTION_KEY": case["agent_options"]["ENCRYPTION_KEY"],
        "DISABLE_E2EE": case["agent_env"].get("METLO_DISABLE_E2EE", "false"),
    }
    if "GET_USER" in case["agent_options"]:
        options["GET_USER"] = lambda _request: "user-from-get-user"
    calls = [call_of(request) for request in case["requests"]]
    if case["framework"] == "flask":
        app = recorded_flask.make()
        agent = MetloFlask(app, collector.url, collector.api_key, **options).agent
        answers = in_force(agent, collector, lambda call: wsgi_driver.serve(app, call), calls)
    else:
        served = ASGIMiddleware(recorded_fastapi.make(), collector.url, collector.api_key, **options)
        agent = served.agent
        answers = in_force(agent, collector, lambda call: asgi_driver.serve(served, call), calls)
    assert agent is not None
    assert agent.flush(10)
    agent.shutdown(1)
    return answers, collector.traces


def in_force(
    agent: Agent | None, collector: MemoryCollector, serve: Callable[[Call], Answer], calls: list[Call]
) -> list[Answer]:
    """The answers, with the recorded rules in force: the worker fetches them at a first request, which is forgotten."""
    assert agent is not None
    if collector.config["wafConfig"]:
        serve(Call("GET", "/unicode", client=CLIENT, server=SERVER))
        assert agent.flush(10)
        collector.clear()
    return [serve(call) for call in calls]


def told(trace: Trace) -> Trace:
    """What is compared: request, response and meta without ports, order of headers and what the original never told."""
    url = {name: value for name, value in trace["request"]["url"].items() if name != "endpointPath"}
    meta = trace["meta"]
    return {
        "request": {**trace["request"], "url": url, "headers": pairs(trace["request"]["headers"])},
        "response": {**trace["response"], "headers": pairs(trace["response"]["headers"])},
        "meta": {name: meta[name] for name in ("environment", "incoming", "source", "destination", "originalSource")},
        "redacted": trace["redacted"],
        "analysisType": trace["analysisType"],
    }


def pairs(headers: list[dict[str, str]]) -> list[tuple[str, str]]:
    return sorted((pair["name"], in_order(pair["name"], pair["value"])) for pair in headers)


def in_order(name: str, value: str) -> str:
    """A header's value; the methods of Allow come from a set, in any order."""
    return ", ".join(sorted(value.split(", "))) if name.lower() == "allow" else value


@needs_shared
@pytest.mark.parametrize("path", _cases())
def test_recording(path: Path) -> None:
    """The app answers as recorded, and our trace is the recorded one, apart from what is listed above."""
    case = json.loads(path.read_text())
    name = f"{case['framework']}-{case['case']}"
    with MemoryCollector(case["agent_config"]) as collector:
        answers, traces = replay(case, collector)
    for answer, recorded in zip(answers, case["app_responses"], strict=True):
        check_answer(answer, recorded, name)
    for trace in traces:
        wire_rules.check(trace)
    assert [told(trace) for trace in traces] == expected(name, case, answers)


def check_answer(answer: Answer, recorded: dict[str, Any], name: str) -> None:
    """The replay is one: the app's answer is the recorded one."""
    body, wanted = answer.body, content(recorded["body"])
    length = str(len(wanted))
    if "gzip" in name:  # the time within makes the bytes differ
        body, wanted = gzip.decompress(body), gzip.decompress(wanted)
    assert (answer.status, body) == (recorded["status"], wanted)
    headers = {key.lower(): value for key, value in recorded["headers"].items() if key.lower() not in SERVERS_OWN}
    if "streaming" in name:  # fault 3: streams were buffered, and so had a length
        assert headers.pop("content-length", length) == length
    found = {key.lower(): in_order(key, value) for key, value in answer.headers}
    if version("werkzeug") < "3":  # it tells of ranges only where one was asked for
        headers.pop("accept-ranges", None)
    assert {key: found.get(key) for key in headers} == {key: in_order(key, value) for key, value in headers.items()}


def expected(name: str, case: Case, answers: list[Answer]) -> list[Trace]:
    """The recorded traces, made right where the original agent was wrong."""
    recorded = [trace for batch in case["agent_sent"] for trace in batch["json"]]
    if name in LOST:
        assert recorded == []
        return [lost(case, answers[0], *LOST[name][1:])]
    for trace in recorded:
        for fault in [*FAULTS.get(name, []), *([EVERY_FASTAPI] if case["framework"] == "fastapi" else [])]:
            before = json.dumps(trace, sort_keys=True)
            fault.put(trace, case)
            assert json.dumps(trace, sort_keys=True) != before, f"this makes no difference any more: {fault.why}"
    return [told(trace) for trace in recorded]


def lost(case: Case, answer: Answer, request_text: str, response_text: str) -> Trace:
    """The trace that the original agent should have sent."""
    call = call_of(case["requests"][0])
    is_flask = case["framework"] == "flask"
    headers = [(name.title() if is_flask else name.lower(), value) for name, value in call.all_headers()]
    return {
        "request": {
            "method": call.method,
            "url": {"host": "shop.example", "path": call.target, "parameters": []},
            "headers": sorted(headers),
            "body": request_text,
            "user": None,
        },
        "response": {"status": answer.status, "headers": sorted(answer.headers), "body": response_text},
        "meta": {
            "environment": "production",
            "incoming": True,
            "source": "127.0.0.1",
            "destination": "127.0.0.1",
            "originalSource": None,
        },
        "redacted": False,
        "analysisType": "full",
    }


RULES = [] if FOLDER is None else sorted(FOLDER.glob("*/waf_*.json"))


@needs_shared
@pytest.mark.parametrize("path", RULES or [None], ids=lambda path: path and f"{path.parent.name}-{path.stem}")
def test_recorded_rules(path: Path) -> None:
    """The same requests are rejected, tagged and told as recorded; with 403 or 429, where the original failed (500)."""
    case = json.loads(path.read_text())
    refusal = 429 if "rate_limit" in path.stem else 403
    with MemoryCollector(case["agent_config"]) as collector:
        answers, traces = replay(case, collector)
    statuses = [answer["status"] for answer in case["app_responses"]]
    assert [answer.status for answer in answers] == [refusal if status == 500 else status for status in statuses]
    recorded = [trace for batch in case["agent_sent"] for trace in batch["json"]]
    assert sorted(map(decision, traces)) == sorted(map(decision, recorded))
    for trace in traces:
        wire_rules.check(trace)
        blocked = trace["processedTraceData"]["block"]
        assert (trace["response"]["status"], trace["analysisType"]) == (refusal if blocked else 200, "full")


def decision(trace: Trace) -> tuple[bool, list[str], str, str, bool]:
    data, request = trace["processedTraceData"], trace["request"]
    return data["block"], data.get("requestTags") or [], request["url"]["path"], request["body"], trace["redacted"]
