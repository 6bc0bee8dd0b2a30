"""The last agent-config that was valid, kept on disk: in force from the first request, even with the backend down."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from metlo_otel.core.settings import Settings

Warn = Callable[[str], None]

_LARGEST = 64 * 1024 * 1024  # bytes
_DAY = 86_400.0  # seconds
_UNUSED = 30 * _DAY
_MOST = 10_000  # files of a directory that are looked at
_PREFIX = "agent-config-"


class ConfigCache:
    """A file that this user alone may read. What goes wrong with it is told to `warn` and hurts nobody.

    Where it `shares` its directory with those of other hosts and keys, those that nobody used for 30 days go when
    this one is new.
    """

    def __init__(self, path: Path, warn: Warn, shares: bool = False) -> None:
        self.path = path
        self._warn = warn
        self._shares = shares
        self._used = time.monotonic()

    def load(self) -> Any:
        """The document, or None where there is none. Another user's file is not believed."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
                    raise PermissionError("it belongs to another user")
                self._touch()
                return orjson.loads(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            self._warn(f"the kept agent-config at {self.path} is not used: {type(problem).__name__}: {problem}")
            return None

    def save(self, document: Any) -> None:
        """Keep `document`, whole or not at all."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)  # made with mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(orjson.dumps(document))
                is_new = not self.path.exists()
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except (OSError, TypeError) as problem:
            self._warn(f"the agent-config cannot be kept at {self.path}: {type(problem).__name__}: {problem}")
            return
        if is_new and self._shares:
            self._sweep()

    def in_use(self) -> None:
        """What is kept is still in force: told often, noted once a day."""
        if time.monotonic() - self._used >= _DAY:
            self._used = time.monotonic()
            self._touch()

    def _touch(self) -> None:
        with contextlib.suppress(OSError):  # what can be read but not touched is of use all the same
            os.utime(self.path)

    def _sweep(self) -> None:
        """Remove what was neither written nor read for 30 days."""
        oldest = time.time() - _UNUSED
        try:
            with os.scandir(self.path.parent) as entries:
                found = [entry for entry in islice(entries, _MOST) if entry.name.startswith(_PREFIX)]
            for entry in found:
                with contextlib.suppress(FileNotFoundError):  # another process was quicker
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                        os.unlink(entry)
        except OSError as problem:
            self._warn(f"old files beside {self.path} cannot be removed: {type(problem).__name__}: {problem}")


def open_cache(settings: Settings, warn: Warn) -> ConfigCache | None:
    """The cache at CONFIG_CACHE, by default one a host and key in the user's cache directory; None when it is `off`."""
    if settings.config_cache == "off":
        return None
    if settings.config_cache:
        return ConfigCache(Path(settings.config_cache).expanduser(), warn)
    name = hashlib.blake2b(f"{settings.backend_url}\0{settings.api_key}".encode(), digest_size=12).hexdigest()
    folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return ConfigCache(Path(folder).expanduser() / "metlo-otel" / f"{_PREFIX}{name}.json", warn, shares=True)
    except RuntimeError:  # there is no home directory
        return None
