"""A collector that runs, and the recordings of the original agent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, Client

_REFERENCE = Path(os.environ.get("METLO_SHARED") or Path(__file__).parents[2].parent / "shared") / "contract"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[RunningCollector]:
    with RunningCollector(str(tmp_path / "test.db"), KEY) as running:
        yield running


@pytest.fixture
def client(collector: RunningCollector) -> Iterator[Client]:
    client = Client(collector.url)
    yield client
    client.session.close()


@pytest.fixture
def recorded() -> list[tuple[str, dict[str, Any]]]:
    """Name and content of each exchange recorded with the original agent."""
    found = sorted((_REFERENCE / "recorded").glob("*/*.json"))
    if not found:
        pytest.skip(f"there are no recordings in {_REFERENCE}; METLO_SHARED names their place")
    return [(path.stem, json.loads(path.read_text("utf-8"))) for path in found]
