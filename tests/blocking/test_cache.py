"""Where the last valid agent-config is kept, and what is removed beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from metlo_otel.blocking.cache import ConfigCache, open_cache
from metlo_otel.blocking.remote import RemoteConfiguration
from metlo_otel.core.agent_config import Served
from metlo_otel.core.settings import read_settings

DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of all hosts and keys."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "metlo-otel"


def cache(key: str, warn: object = pytest.fail) -> ConfigCache:
    """The file of a key."""
    found = open_cache(read_settings({"metlo_host": "http://127.0.0.1:1", "api_key": key}, environ={}), warn)  # type: ignore[arg-type]  # pytest.fail never returns
    assert found is not None
    return found


def age(path: Path, days: float) -> None:
    """Make a file look as if it was last used so many days ago."""
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


def test_files_that_nobody_uses_go(folder: Path) -> None:
    """A new file removes those that were neither written nor read for 30 days, and halves of them; nothing else."""
    unused, read, recent = cache("unused"), cache("read"), cache("recent")
    for kept in (unused, read, recent):
        kept.save({})
    half = folder / f"{unused.path.name}x1y2"
    foreign, linked = folder / "notes.txt", folder / "agent-config-linked.json"
    for path in (half, foreign):
        path.write_text("{}")
    linked.symlink_to(foreign)
    for path, days in ((unused.path, 31), (read.path, 31), (recent.path, 29), (half, 31), (foreign, 31)):
        age(path, days)
    assert read.load() == {}
    recent.save({"a": 1})
    assert unused.path.exists(), "only a new one sweeps"
    new = cache("new")
    new.save({})
    assert set(folder.iterdir()) == {read.path, recent.path, new.path, foreign, linked}


def test_a_file_in_force_is_in_use(folder: Path) -> None:
    """An app that runs for months with one configuration keeps its file: it is touched once a day."""
    now, mine = [0.0], cache("mine")
    remote = RemoteConfiguration(lambda _: Served({}), pytest.fail, lambda: now[0], cache=mine)
    assert remote.refresh_if_due()
    age(mine.path, 40)
    for days in (0, 2):
        mine._used -= days * DAY
        now[0] += 100
        assert not remote.refresh_if_due()
        assert (mine.path.stat().st_mtime > time.time() - DAY) == (days == 2)


def test_a_place_of_ones_own_is_not_swept(tmp_path: Path) -> None:
    """CONFIG_CACHE may name any directory: what lies there is not ours to remove."""
    other = tmp_path / "agent-config-other.json"
    other.write_text("{}")
    age(other, 99)
    options = {"metlo_host": "http://127.0.0.1:1", "api_key": "k", "config_cache": str(tmp_path / "own.json")}
    own = open_cache(read_settings(options, environ={}), pytest.fail)
    assert own is not None
    own.save({})
    assert own.load() == {}
    assert other.exists()


def test_what_cannot_be_removed_is_no_harm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the new one is kept."""
    old, warnings = cache("old"), list[str]()
    old.save({})
    age(old.path, 31)

    def refuse(path: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr("metlo_otel.blocking.cache.os.unlink", refuse)
    new = cache("new", warnings.append)
    new.save({"a": 1})
    assert new.load() == {"a": 1}
    (text,) = warnings
    assert text == f"old files beside {new.path} cannot be removed: PermissionError: [Errno 13] no"
