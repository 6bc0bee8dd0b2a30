"""A collector for each live test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metlo_otel.testing import MemoryCollector


@pytest.fixture
def collector() -> Iterator[MemoryCollector]:
    """A collector that wants content."""
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        yield collector
