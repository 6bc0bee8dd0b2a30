"""Waiting for another configuration: one look at the database for all requests that wait, twice a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

EVERY = 0.5  # seconds between two looks
MOST = 256  # requests that wait at once; further ones are answered immediately


class Changes:
    """Wakes who waits; used on the event loop's thread only. `read` reads the configuration's version."""

    def __init__(self, read: Callable[[], Awaitable[str]]) -> None:
        self._read = read
        self._waiting = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def wait(self, version: str, seconds: float) -> None:
        """Return once the version is another than `version`, after `seconds` at the latest."""
        if self._waiting >= MOST or self._ended:
            return
        self._waiting += 1
        try:
            with anyio.move_on_after(seconds):
                if self._task is None or self._task.done():
                    self._task = asyncio.create_task(self._watch(version))
                await self._changed.wait()
        finally:
            self._waiting -= 1

    def end(self) -> None:
        """Wake everybody and let nobody wait any more."""
        self._ended = True
        self._changed.set()

    async def _watch(self, version: str) -> None:
        """Look while anybody waits."""
        while self._waiting and not self._ended:
            now = await self._read()
            if now != version:
                version = now
                self._changed.set()
                self._changed = asyncio.Event()
            await asyncio.sleep(EVERY)
