"""A collector's database as its first start leaves it: made once, then copied for each test."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, READ_KEY
from tests.dashboard.browser import PASSWORD


@functools.cache
def _first_start() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.db"
        with RunningCollector(str(path), KEY, PASSWORD, READ_KEY):
            pass
        return path.read_bytes()


def started_before(folder: Path) -> str:
    """The path of a database in `folder` that knows the keys and the password, and nothing else."""
    path = folder / "test.db"
    path.touch(0o600)
    path.write_bytes(_first_start())
    return str(path)
