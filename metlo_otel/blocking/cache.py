"""The last agent-config that was valid, kept on disk: in force from the first request, even with the backend down."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from metlo_otel.core.settings import Settings

Warn = Callable[[str], None]

_LARGEST = 64 * 1024 * 1024  # bytes


class ConfigCache:
    """A file that this user alone may read. What goes wrong with it is told to `warn` and hurts nobody."""

    def __init__(self, path: Path, warn: Warn) -> None:
        self.path = path
        self._warn = warn

    def load(self) -> Any:
        """The document, or None where there is none. Another user's file is not believed."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
                    raise PermissionError("it belongs to another user")
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
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except (OSError, TypeError) as problem:
            self._warn(f"the agent-config cannot be kept at {self.path}: {type(problem).__name__}: {problem}")


def open_cache(settings: Settings, warn: Warn) -> ConfigCache | None:
    """The cache at CONFIG_CACHE, by default one a host and key in the user's cache directory; None when it is `off`."""
    if settings.config_cache == "off":
        return None
    if settings.config_cache:
        return ConfigCache(Path(settings.config_cache).expanduser(), warn)
    name = hashlib.blake2b(f"{settings.backend_url}\0{settings.api_key}".encode(), digest_size=12).hexdigest()
    folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return ConfigCache(Path(folder).expanduser() / "metlo-otel" / f"agent-config-{name}.json", warn)
    except RuntimeError:  # there is no home directory
        return None
