"""The agent's analysis under its settings: what is looked at when time is short, what is told, and who goes first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import steps
from metlo_otel.analysis.budget import Budget
from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.core.turns import Turns
from tests.analysis.attack_samples import ATTACKS
from tests.analysis.records import config, json_record, record, refuse

CONFIG = AgentConfig()
HARMLESS = {"email": "bob@example.com", "note": "hello there"}
ATTACK = {"id": "1' union select 1,2--"}


def settings(**options: Any) -> Settings:
    return read_settings({"api_key": "k", "host": "http://127.0.0.1", **options}, {})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_order_when_time_is_short() -> None:
    """New shapes and remarkable records may owe time, ordinary ones may not, and owed time is paid back first."""
    clock = Clock()
    budget = Budget(0.05, clock)
    assert budget.allows("a", "endpoint", remarkable=False)
    budget.spend(0.15, full=True)  # the 0.1 s that were saved up, and half as much again
    assert not budget.allows("a", "endpoint", remarkable=False)
    assert budget.allows("a", "endpoint", remarkable=True)
    assert budget.allows("b", "endpoint", remarkable=False)
    budget.spend(0.1, full=True)
    assert not budget.allows("a", "endpoint", remarkable=True)
    assert not budget.allows("c", "endpoint", remarkable=False)
    clock.now += 10
    assert budget.allows("a", "endpoint", remarkable=False)


def test_a_busy_endpoint_does_not_take_it_all() -> None:
    """What there is for a second is shared by the endpoints of the second before."""
    clock = Clock()
    budget = Budget(0.01, clock)
    for endpoint in ("busy", "quiet"):
        assert budget.allows(endpoint, endpoint, remarkable=False)  # new shapes, which no share is charged for
        assert budget.allows(endpoint, endpoint, remarkable=False)
        budget.spend(0.001, full=True)
    clock.now += 1
    given = 0
    while budget.allows("busy", "busy", remarkable=False):
        budget.spend(0.0005, full=True)
        given += 1
        assert given < 100
    assert given > 0
    assert budget.allows("quiet", "quiet", remarkable=False)


def test_what_there_is_no_time_for_is_counted_and_looked_at_for_attacks() -> None:
    """Without any budget left a record is partial: no types, no classes, but the attacks; nothing is left out."""
    inspection = Inspection(settings(analysis_budget=1), refuse)
    first = inspection.analyse(json_record(HARMLESS), CONFIG)
    assert not first.partial
    assert first.sensitive == {"reqBody.email": ["Email"]}
    inspection._budget.spend(10.0, full=True)
    ordinary = inspection.analyse(json_record(HARMLESS), CONFIG)
    assert (ordinary.partial, dict(ordinary.data_types), dict(ordinary.sensitive)) == (True, {}, {})
    attack = inspection.analyse(json_record(ATTACK), CONFIG)
    assert attack.partial
    assert attack.attacks == {"reqBody.id": ["SQLI"]}
    assert [(each.key, each.category, each.confidence) for each in attack.fragments] == [("reqBody.id", "SQLI", "high")]


def test_suspicious_records_go_first() -> None:
    """Where the allowance is used up and not yet twice so, an attack is analysed in full and a like record is not."""
    inspection = Inspection(settings(analysis_budget=5), refuse)
    inspection.analyse(json_record(HARMLESS), CONFIG)
    inspection._budget.spend(0.13, full=True)
    assert inspection.analyse(json_record(HARMLESS), CONFIG).partial
    found = inspection.analyse(json_record(ATTACK), CONFIG)
    assert not found.partial
    assert found.data_types["reqBody.id"] == ["string"]
    assert found.attacks == {"reqBody.id": ["SQLI"]}


def test_categories_that_are_off_are_silent() -> None:
    """`off` for a category takes its findings away, from what is told and from what blocks; the others stay."""
    given = json_record({"a": ATTACK["id"], "b": "<script>alert(1)</script>"})
    inspection = Inspection(settings(detection="SQLI=off,XSS=block"), refuse)
    assert inspection.analyse(given, CONFIG).attacks == {"reqBody.b": ["XSS"]}
    threat = inspection.threat(given)
    assert (threat.key, threat.finding and threat.finding.category) == ("reqBody.b", "XSS")
    assert Inspection(settings(), refuse).threat(given).finding is None


@pytest.mark.parametrize(
    ("exempt", "blocks"),
    [
        ("/a/b reqBody.b XSS", False),
        ("/a/{x} reqBody.* *", False),
        ("* reqBody.b XSS", False),
        ("/a/b/ reqBody.b xss", False),
        ("/a/c reqBody.b XSS", True),
        ("/a reqBody.b XSS", True),
        ("/a/b reqBody.a XSS", True),
        ("/a/b reqBody.b SQLI", True),
    ],
)
def test_where_a_finding_is_fine(exempt: str, blocks: bool) -> None:
    """DETECTION_EXCEPT takes findings of a category in a field of a path away, from what is told and what blocks."""
    given = json_record({"b": "<script>alert(1)</script>"})
    inspection = Inspection(settings(detection="block", detection_except=exempt), refuse)
    assert inspection.analyse(given, CONFIG).attacks == ({"reqBody.b": ["XSS"]} if blocks else {})
    assert (inspection.threat(given).finding is not None) == blocks


def test_what_the_backend_says_is_fine() -> None:
    """The same served by the collector, from its arrival on and until it is served no more."""
    given = json_record({"b": "<script>alert(1)</script>"})
    inspection = Inspection(settings(detection="block"), refuse)
    served = config({"detectionExcept": [{"path": "/a/b", "field": "reqBody.b", "category": "XSS"}]})
    inspection.configure(served)
    assert inspection.threat(given).finding is None
    assert inspection.analyse(given, served).attacks == {}
    inspection.configure(CONFIG)
    assert inspection.threat(given).finding is not None


@pytest.mark.parametrize("path", ["/a/b/../c", "/a//b", "/a/./b", "/a\\b"])
def test_a_path_that_may_be_read_as_another_is_exempt_nowhere(path: str) -> None:
    """A path that servers rewrite does not slip through what is said for its beginning."""
    given = json_record({"b": "<script>alert(1)</script>"}, path=path)
    inspection = Inspection(settings(detection="block", detection_except="/a* reqBody.b XSS"), refuse)
    assert inspection.threat(given).finding is not None


def test_only_what_is_certain_blocks() -> None:
    """A finding of low confidence is reported and does not block."""
    given = json_record({"url": "http://127.0.0.1/"})
    inspection = Inspection(settings(detection="block"), refuse)
    assert inspection.analyse(given, CONFIG).attacks == {"reqBody.url": ["SSRF"]}
    assert inspection.threat(given).finding is None


def test_severe_values_are_hidden_where_that_is_asked_for() -> None:
    """MASK_SENSITIVE names the values with a class of high severity, on both sides, and no others."""
    given = json_record({"card": "4111 1111 1111 1111", "email": "bob@example.com"}, {"key": "AKIAIOSFODNN7EXAMPLE"})
    found = Inspection(settings(mask_sensitive=True), refuse).analyse(given, CONFIG)
    assert sorted(found.hidden) == ["4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE"]
    assert "4111" not in repr(found)
    assert Inspection(settings(), refuse).analyse(given, CONFIG).hidden == ()


def test_fragments_of_masked_fields_are_not_told() -> None:
    """That a masked field held an attack is told, what it held is not."""
    found = Inspection(settings(masked_fields=["id"]), refuse).analyse(json_record(ATTACK), CONFIG)
    assert found.attacks == {"reqBody.id": ["SQLI"]}
    assert found.fragments == ()


def test_turns() -> None:
    """The lock is given away at the first check a millisecond after the last time, and not before."""
    clock, given = Clock(), []
    turns = Turns(lambda: given.append(clock.now), clock)
    for _ in range(10):
        turns()
        clock.now += 0.0004
    assert [round(moment - 100, 4) for moment in given] == [0.0, 0.0012, 0.0024, 0.0036]


def hostile() -> Iterator[tuple[str, Record]]:
    """Records as large as MAX_BODY lets them be, full of what takes the detectors longest, and the benchmark's."""
    payloads = [payload for payloads in ATTACKS.values() for payload in payloads]
    yield "attacks", json_record(dict(enumerate(payloads[:200])))
    for piece in ("<img src=x ", "; cat /etc/passwd ", "(select ", "&#x41;", "a' or 1=1 ", "\n", "\\x"):
        text = (piece * 5120)[:5000]
        yield piece, json_record({"a": text}, {"b": text})
    yield from steps.records()


def test_the_worker_lets_requests_go_first() -> None:
    """Between two checks lie about two milliseconds of CPU time at most: ten times that are allowed, for slow machines.

    What was understood goes out: the record is analysed in full.
    """
    checked = steps.Steps()
    inspection = Inspection(settings(analysis_budget=100), refuse, checked)
    inspection.analyse(json_record({"query": "{a}"}, path="/graphql"), CONFIG)  # imports what is imported once
    for name, given in hostile():
        taken: list[float] = []
        while not taken or (
            taken[-1] > 0.02 and len(taken) < 3
        ):  # a collection of the tests' garbage may fall in between
            checked.begin()
            found = inspection.analyse(given, CONFIG)
            checked()
            taken.append(checked.longest)
        assert min(taken) < 0.02, name
        assert not found.partial, name


@pytest.mark.parametrize("budget", [100, 0.001])
@pytest.mark.parametrize(("most", "found"), [(65_536, False), (131_072, True)])
def test_the_worker_looks_at_as_much_as_the_setting_says(budget: float, most: int, found: bool) -> None:
    """What an encoded body unfolds to is looked at up to MAX_INSPECT, by the worker too, and what is beyond is told."""
    body = gzip.compress(json.dumps({"pad": "x " * 40_000, **ATTACK}).encode())
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    message = Message(headers, b"", len(body), True, sent=body)
    inspection = Inspection(settings(max_inspect=most, analysis_budget=budget), refuse)
    inspection._budget.spend(0.0 if budget == 100 else 10.0, full=True)
    analysed = inspection.analyse(record(message), CONFIG)
    assert dict(analysed.attacks) == ({"reqBody.id": ["SQLI"]} if found else {})
    assert analysed.incomplete == (() if found else ("body_size",))
