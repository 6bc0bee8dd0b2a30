"""Agents that tests of this folder make end with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.capture import asgi_server


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End them."""
    yield
    asgi_server.end_all()
