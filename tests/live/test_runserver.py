"""The agent under Django's own server."""

from __future__ import annotations

import pytest

from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.live.server import Server, free_port

pytestmark = pytest.mark.live


def test_requests(collector: MemoryCollector) -> None:
    """Requests to `manage.py runserver` are answered and told, under their routes."""
    arguments = ["django", "runserver", "--noreload", f"127.0.0.1:{free_port()}"]
    with Server(
        collector, *arguments, ready="Quit the server", DJANGO_SETTINGS_MODULE="tests.live.django_settings"
    ) as server:
        answer = server.ask("POST", "/json", b'{"a": [1]}', Content_Type="application/json")
        assert answer == (200, b'{"got": {"a": [1]}}')
        assert server.get("/users/7") == (200, b'{"id": 7}')
        traces = {trace["request"]["url"]["path"]: trace for trace in collector.wait(2)}
    assert traces["/json"]["request"]["body"] == '{"a": [1]}'
    assert traces["/users/7"]["request"]["url"]["endpointPath"] == "/users/{id}"
    for trace in traces.values():
        wire_rules.check(trace)
