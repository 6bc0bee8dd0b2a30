"""A short soak, with a few of the faults in a fixed order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import soak

pytestmark = pytest.mark.live


def test_faults_under_load(tmp_path: Path) -> None:
    """No answer is wrong and nothing is lost unseen, whatever the collector does meanwhile."""
    assert soak(10.0, clients=2, pause=0.03, seed=7, folder=tmp_path) == []
