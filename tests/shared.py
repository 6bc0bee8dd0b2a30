"""Where the reference recordings are, when they are there: beside the repository, or where METLO_SHARED says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PLACE = Path(os.environ.get("METLO_SHARED") or Path(__file__).resolve().parents[2] / "shared")
SHARED: Path | None = _PLACE if _PLACE.is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason=f"the reference recordings are not at {_PLACE}")
