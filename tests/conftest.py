"""What all tests share: the reference data, and places of their own for what agents keep on disk."""

from __future__ import annotations

import itertools
import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from metlo_otel.export.ending import ending
from tests import profiles  # noqa: F401 - registers them
from tests.shared import SHARED

settings.load_profile("once")
pytest.register_assert_rewrite("tests.contract.shop", "tests.contract.wire_rules")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data; tests that need it are skipped where it is not."""
    if SHARED is None:
        pytest.skip("no reference data: METLO_SHARED names none, and there is no ../shared")
    return SHARED


_TURN = itertools.count()


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where agents of this run keep what they keep."""
    return tmp_path_factory.mktemp("places")


@contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    """`folder` in the place of /tmp, for child processes too."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(scope="module", autouse=True)
def own_counts_of_a_module(places: Path) -> Iterator[None]:
    """As own_counts(), for servers that several tests share."""
    with _temporary(places / f"module-{next(_TURN)}"):
        yield


@pytest.fixture(autouse=True)
def own_counts(places: Path) -> Iterator[None]:
    """A test's collector may have the port of an earlier one, and its rules the same names: limits begin anew."""
    with _temporary(places / f"tmp-{next(_TURN)}"):
        yield


@pytest.fixture(autouse=True)
def own_cache(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of agent-configs that are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(places / f"cache-{next(_TURN)}"))


@pytest.fixture(autouse=True)
def own_log_level() -> None:
    """LOG_LEVEL of an earlier test's agent is that test's own."""
    logging.getLogger("metlo_otel").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def own_end() -> None:
    """Where an earlier test has waited in vain for a collector, this one's is waited for all the same."""
    ending._in_vain = -math.inf
