"""The real agent's recorded rules and requests are decided alike (where it rejects, we do)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.core.agent_config import parse_agent_config
from tests.blocking.exchanges import KINDS, NOW, client, exchange, parsed, refused
from tests.shared import SHARED, needs_shared

CASES = sorted(SHARED.glob("contract/recorded/*/waf_*.json")) if SHARED else []


def decided(case: dict[str, Any], kind: str) -> list[tuple[bool, tuple[str, ...]]]:
    """Whether each recorded request is blocked, and its tags."""
    config = parse_agent_config(case["agent_config"], refused)
    policy = Policy(parsed(*config.waf), LocalStore())
    answers = []
    for number, request in enumerate(case["requests"]):
        body = (request["body"] or {}).get("text", "").encode()
        made = exchange(request["method"], request["target"], request["headers"].items(), body, kind=kind)
        verdict = policy.decide(made, client("127.0.0.1"), NOW + number / 10)
        answers.append((verdict.blocked, verdict.tags))
    return answers


def recorded(case: dict[str, Any]) -> list[tuple[bool, tuple[str, ...]]]:
    """What the real agent said of each request in its batch."""
    traces = [trace for sent in case["agent_sent"] for trace in sent["json"]]
    found = []
    for trace in traces:
        processed = trace["processedTraceData"]
        found.append((processed["block"], tuple(processed.get("requestTags") or ())))
    return found


@needs_shared
def test_there_are_recordings() -> None:
    """The recordings of rules are where they are expected."""
    assert len(CASES) >= 4


@needs_shared
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recording(path: Any, kind: str) -> None:
    """As often blocked as recorded, with the same tags (the batch's order is not the requests')."""
    case = json.loads(path.read_text())
    assert sorted(decided(case, kind)) == sorted(recorded(case))


@needs_shared
@pytest.mark.parametrize("kind", KINDS)
def test_the_recorded_limit_in_order(kind: str) -> None:
    """Of the six recorded requests the first three pass."""
    case = json.loads(next(path for path in CASES if path.stem == "waf_rate_limit").read_text())
    passed = [answer["status"] == 200 for answer in case["app_responses"]]
    assert [not blocked for blocked, _ in decided(case, kind)] == passed == [True] * 3 + [False] * 3
