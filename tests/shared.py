"""Where the reference data of the wire contract is, for the tests that compare with it."""

from __future__ import annotations

import os
from pathlib import Path


def _found() -> Path | None:
    beside = Path(__file__).resolve().parent.parent.parent / "shared"
    place = Path(os.environ["METLO_SHARED"]) if os.environ.get("METLO_SHARED") else beside
    return place if (place / "contract" / "v2-trace.schema.json").is_file() else None


SHARED = _found()
