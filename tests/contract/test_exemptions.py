"""Where the collector says that a finding is fine the agent lets it pass, from the first request on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults

import pytest

from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware

ATTACK = "q=" + quote("<script>alert(1)</script>")
FINE = {"path": "/posts/{id}", "field": "reqQuery.q", "category": "XSS"}


def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"seen"]


def status_of(wrapped: Any, path: str) -> str:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": ATTACK}
    setup_testing_defaults(environ)
    told: list[str] = []
    answer = wrapped(environ, lambda status, _headers, _exc=None: told.append(status))
    list(answer)
    if hasattr(answer, "close"):
        answer.close()
    return told[0]


@pytest.mark.parametrize("mode", ["block", "monitor"])
def test_the_agent_heeds_what_the_collector_serves(mode: Literal["block", "monitor"]) -> None:
    """In the place that is excepted nothing is blocked or told; beside it the attack is what it was."""
    with MemoryCollector({"detectionExcept": [FINE]}) as collector:
        wrapped = WSGIMiddleware(
            app,
            host=collector.url,
            api_key=collector.api_key,
            config_cache="off",
            first_rules_wait=5,
            detection="block",
            mode=mode,
        )
        assert status_of(wrapped, "/posts/5") == "200 OK"
        assert status_of(wrapped, "/posts/5/edit")[:3] == ("403" if mode == "block" else "200")
        told = {trace["request"]["url"]["path"]: trace["processedTraceData"] for trace in collector.wait(2)}
    assert told["/posts/5"]["attackDetections"] == {}
    assert told["/posts/5/edit"]["attackDetections"] == {"reqQuery.q": ["XSS"]}
