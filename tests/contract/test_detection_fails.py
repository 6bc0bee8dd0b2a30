"""A fault of ours in detection is a request that was not inspected: it is said, and OVERSIZE decides about it."""

from __future__ import annotations

from typing import Literal

import flask
import pytest

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector


def _raising(*_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("oversize", "status"), [("pass", 200), ("block", 403)])
def test_a_request_that_detection_fails_on(
    oversize: Literal["pass", "block"], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes or is blocked as one that is too large; what rules said of it holds, and its trace says why."""
    monkeypatch.setattr(Inspection, "threat", _raising)
    app = flask.Flask("shop")
    app.add_url_rule("/", view_func=lambda: "hello")
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        tag = [{"name": "seen", "tag": "seen", "path": "/*"}]
        ours = MetloFlask(
            app, collector.url, collector.api_key, detection="block", OVERSIZE=oversize, config_cache="off", rules=tag
        )
        assert app.test_client().get("/?q=1").status_code == status
        (trace,) = collector.wait(1)
        assert ours.agent is not None
        ours.agent.shutdown()
    assert trace["meta"]["incomplete"] == ["failed"]
    assert trace["processedTraceData"]["requestTags"] == ["seen"]
