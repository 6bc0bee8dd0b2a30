"""The dry run of a rule reads stored requests as agents read live ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from metlo_otel.collector.dashboard.dry_run import try_rule
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import read_trace
from metlo_otel.export.wire import sendable_path


@pytest.mark.parametrize(
    ("sent", "value", "hits"),
    [
        ("/files/a=b", "/files/a=b", 1),
        ("/files//a/./b", "/files/a/b", 1),
        ("/files/a<b>", "/files/a<b>", 1),
        ("/files/a=b", "/files/a", 0),
    ],
)
def test_path_as_agents_see_it(tmp_path: Path, sent: str, value: str, hits: int) -> None:
    """A path that the wire encodes is found by the rule that agents enforce on it, in any spelling."""
    url = {"host": "h", "path": sendable_path(sent), "parameters": []}
    document = {
        "request": {"method": "GET", "url": url, "headers": [], "body": ""},
        "response": {"status": 200, "headers": [], "body": ""},
        "meta": {},
        "processedTraceData": {"block": False},
        "analysisType": "full",
        "redacted": False,
    }
    condition = {"field": "path", "operator": "eq", "key": None, "value": value}
    rule = {"ruleType": "block", "conditionGroups": [{"rule": "all", "conditions": [condition]}]}
    store = Store(str(tmp_path / "traces.db"), duties=False)
    try:
        store.add([read_trace(document, 2)]).result()
        assert store.read(lambda connection: try_rule(connection, rule)).hit == hits
    finally:
        store.close()
