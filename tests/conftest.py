"""What all tests share: the reference data, and a log that says what ours logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import SHARED

pytest.register_assert_rewrite("tests.contract.shop", "tests.contract.wire_rules")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data; tests that need it are skipped where it is not."""
    if SHARED is None:
        pytest.skip("no reference data: METLO_SHARED names none, and there is no ../shared")
    return SHARED
