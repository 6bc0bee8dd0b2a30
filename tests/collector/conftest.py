"""A collector that runs, and the recordings of the original agent."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, READ_KEY, Client
from tests.collector.kept import started_before
from tests.collector.postgresql_server import find_binaries, postgresql_server

_REFERENCE = Path(os.environ.get("METLO_SHARED") or Path(__file__).parents[2].parent / "shared") / "contract"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[RunningCollector]:
    with RunningCollector(started_before(tmp_path), KEY, read_key=READ_KEY) as running:
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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server; tests that need it are skipped where it is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with postgresql_server(binaries) as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql: str) -> str:
    """The URL of a new, empty database."""
    name = "test_" + secrets.token_hex(8)
    engine = create_engine(f"{postgresql}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return f"{postgresql}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    found: str = request.getfixturevalue("postgresql_database")
    return found
