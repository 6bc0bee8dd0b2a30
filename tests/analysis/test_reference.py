"""What the real agent found in the same traffic is what we find, apart from its known faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from metlo_otel.analysis.analyse import Analyser
from metlo_otel.core.record import Record
from metlo_otel.reading.names import is_name
from tests.analysis.records import config, from_exchange, from_trace, golden, golden_config, recorded, refuse
from tests.shared import needs_shared

pytestmark = needs_shared
COMPARED = ("dataTypes", "sensitiveDataDetected", "graphqlPaths", "requestContentType", "responseContentType")
KEY = b"hmac-secret"


@pytest.fixture(scope="module", params=[True, False], ids=["re2", "automaton"])
def analyser(request: pytest.FixtureRequest) -> Analyser:
    return Analyser(golden_config(), refuse, speed=request.param)


def is_key(key: str) -> bool:
    return all(is_name(step, "x") or step == "[]" for step in key.split(".")[1:])


def told(key: str) -> str:
    """A key of the original's: where it tells content as a name (a body whose type says form), ours says `{other}`."""
    return key if is_key(key) else key.partition(".")[0] + ".{other}"


def shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """The compared parts; the order of types, of classes and of paths means nothing."""
    found: dict[str, Any] = {name: data[name] for name in COMPARED if data.get(name)}
    for name in ("dataTypes", "sensitiveDataDetected"):
        if name in found:
            found[name] = {told(key): sorted(values) for key, values in found[name].items()}
    return found


@pytest.mark.parametrize("case", list(golden("golden_full.jsonl")), ids=lambda case: str(case["case"]))
def test_golden_full(case: dict[str, Any], analyser: Analyser) -> None:
    """Types, classes, GraphQL paths (in their order), content types and session of every golden trace are equal."""
    given = from_trace(case["in"])
    assert shown(analyser.analyse(given).as_trace_data()) == shown(case["out"]["processedTraceData"])


@pytest.mark.parametrize("case", list(golden("golden_partial.jsonl")), ids=lambda case: str(case["case"]))
def test_golden_partial(case: dict[str, Any], analyser: Analyser) -> None:
    """A trace that is only counted tells GraphQL paths and content types, and no types or classes."""
    given = from_trace(case["in"])
    assert shown(analyser.count(given).as_trace_data()) == shown(case["out"]["processedTraceData"])


@pytest.mark.parametrize("name", ["golden_full.jsonl", "golden_partial.jsonl"])
def test_golden_sessions(name: str, analyser: Analyser) -> None:
    """sessionMeta of every golden trace is equal, its hash apart: which clients are the same must be the same."""
    seen: dict[str, str] = {}
    for case in golden(name):
        ours = analyser.session(from_trace(case["in"]), KEY, show_user=True)
        theirs = case["out"]["sessionMeta"]
        assert seen.setdefault(theirs["uniqueSessionKey"], ours["uniqueSessionKey"]) == ours["uniqueSessionKey"]
        assert {**ours, "uniqueSessionKey": None} == {**theirs, "uniqueSessionKey": None}
    assert len(set(seen.values())) == len(seen)


def pairs() -> list[Any]:
    """Each recorded trace with the request and answer that it came from, found by method and path in their order."""
    found = []
    for name, case in recorded():
        exchanges = list(zip(case["requests"], case["app_responses"], strict=True))
        traces = [trace for call in case["agent_sent"] for trace in call["json"]]
        for count, trace in enumerate(traces):
            found.append(pytest.param(name, case, exchanges, trace, id=f"{name}-{count}"))
    return found


def the_record(name: str, exchanges: list[Any], trace: dict[str, Any]) -> Record:
    if not trace["redacted"] and "encryption" not in trace:
        return from_trace(trace)
    wanted = trace["request"]["method"], trace["request"]["url"]["path"], trace["response"]["status"]
    asgi = name.startswith("fastapi")
    records = [from_exchange(request, answer, asgi) for request, answer in exchanges]
    found = next(each for each in records if (each.method, each.path, each.status) == wanted)
    return replace(found, user=trace["request"]["user"])


# Flask's recorded traces of forms have no body (fault 3); here the request as it was sent is analysed.
FORMS_EMPTY = {"flask/capture_plain__post_form", "flask/redacted__post_form"}
PARTS_EMPTY = {"flask/capture_plain__post_multipart_text", "flask/capture_plain__post_multipart_binary"}
# FastAPI's recorder did not see the request's body there (fault 2).
BODY_UNSEEN = {("fastapi/mixed_batch", "/graphql")}


@pytest.mark.parametrize(("name", "case", "exchanges", "trace"), pairs())
def test_recorded(name: str, case: dict[str, Any], exchanges: list[Any], trace: dict[str, Any]) -> None:
    """Every recorded trace's findings are equal; those of Flask's forms have the form's fields besides (fault 3)."""
    analyser = Analyser(config(case["agent_config"]), refuse)
    given = the_record(name, exchanges, trace)
    full = trace["analysisType"] == "full"
    ours = shown((analyser.analyse(given) if full else analyser.count(given)).as_trace_data())
    theirs = shown(trace["processedTraceData"])
    if name in FORMS_EMPTY | PARTS_EMPTY:
        ours = {**ours, **{part: without(ours[part], "reqBody") for part in COMPARED[:2] if part in ours}}
    if (name, given.path) in BODY_UNSEEN:
        assert ours.pop("graphqlPaths") == ["reqBody.query.user"]
    assert ours == theirs


@pytest.mark.parametrize(("name", "case", "exchanges", "trace"), pairs())
def test_recorded_sessions(name: str, case: dict[str, Any], exchanges: list[Any], trace: dict[str, Any]) -> None:
    """Every recorded sessionMeta is equal under its key; jwtUserPath, ignored there, counts (fault 10)."""
    analyser = Analyser(config(case["agent_config"]), refuse)
    given = the_record(name, exchanges, trace)
    wanted = {**trace["sessionMeta"], **({"user": "u42"} if name == "flask/authconfig_jwt__auth_jwt" else {})}
    assert analyser.session(given, KEY, show_user=True) == wanted
    assert analyser.session(given, KEY, show_user=False) == {**wanted, "user": None}


def without(found: dict[str, Any], section: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.startswith(section)}
