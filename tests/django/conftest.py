"""A collector for one test, and both interfaces by which a Django site is served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metlo_otel.testing import MemoryCollector
from tests.contract.conftest import FULL
from tests.django.site import HANDLERS


@pytest.fixture
def collector() -> Iterator[MemoryCollector]:
    """A collector for one test."""
    with MemoryCollector(FULL) as collector:
        yield collector


@pytest.fixture(params=HANDLERS)
def interface(request: pytest.FixtureRequest) -> str:
    """WSGI and ASGI."""
    found: str = request.param
    return found
