"""The tests' own surroundings: what one leaves behind, the next does not find."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from metlo_otel.blocking.shared_store import shared_name

FOUND: list[Path] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_limits_of_equal_names_are_another_tests(turn: int) -> None:
    """An agent of the same collector, by its port, and key, counts anew; so does one in a child process."""
    FOUND.append(shared_name("http://127.0.0.1:4000", "key"))
    assert str(FOUND[-1]).startswith(os.environ["TMPDIR"])
    assert tempfile.gettempdir() == os.environ["TMPDIR"]
    assert len(set(FOUND)) == len(FOUND)
