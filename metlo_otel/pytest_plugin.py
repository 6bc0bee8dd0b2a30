"""A plugin for pytest, there wherever the package is installed: a collector for tests of apps that use metlo_otel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from metlo_otel.testing import MemoryCollector


@pytest.fixture
def metlo_collector() -> Iterator[MemoryCollector]:
    """A Metlo collector in memory: give its `url` and `api_key` to the app's settings, `wait(1)` for its traces.

    def test_users_are_seen(metlo_collector):
        app = create_app(metlo_host=metlo_collector.url, api_key=metlo_collector.api_key)
        app.test_client().get("/users/7")
        (trace,) = metlo_collector.wait(1)
        assert trace["request"]["url"]["path"] == "/users/7"
    """
    from metlo_otel.testing import MemoryCollector  # no other test pays for it

    with MemoryCollector() as collector:
        yield collector
