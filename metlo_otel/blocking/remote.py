"""The agent-config in force, fetched from the backend again and again; what is broken never replaces what works."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from metlo_otel.blocking.cache import ConfigCache
from metlo_otel.core.agent_config import AgentConfig, AgentConfigError, Served, parse_agent_config

EVERY = 60.0  # seconds, where the backend does not say how often it wants to be asked
_SOONEST = 1.0
_FIRST_WAIT = 1.0
_chance = random.SystemRandom()  # jitter must not take numbers from the app's own, perhaps seeded, random

Fetch = Callable[["str | None"], Served]
"""Given the last ETag: what the backend answers.

Raises ConnectionError or ValueError where there is none to be had.
"""


class RemoteConfiguration:
    """Holds the configuration in force. One thread refreshes it, any thread may read `current`."""

    def __init__(
        self,
        fetch: Fetch,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[AgentConfig], None] | None = None,
        cache: ConfigCache | None = None,
    ) -> None:
        self._cache = cache
        self._fetch = fetch
        self._warn = warn
        self._clock = clock
        self._on_change = on_change
        self._etag: str | None = None
        self._document: Any = None
        self._due = clock()
        self._wait = _FIRST_WAIT
        self._problem: str | None = None
        self.fetched = False
        self.kept = False  # whether it began with what was in force last
        self.current = AgentConfig()
        if cache is not None:
            self._restore(cache)

    def _restore(self, cache: ConfigCache) -> None:
        """Begin with what was in force last; it is fetched again all the same."""
        document = cache.load()
        if document is None:
            return
        try:
            self._put_in_force(document)
            self.kept = True
        except AgentConfigError as problem:
            self._warn(f"the kept agent-config at {cache.path} is not used: {problem}")

    def ask_soon(self) -> None:
        """The backend may be there again: it is asked without waiting for longer, where it could not be reached."""
        if self._problem is not None:
            self._due, self._wait = self._clock(), _FIRST_WAIT

    def refresh_if_due(self) -> bool:
        """Fetch the configuration when it is time to; whether another one is in force now."""
        if self._clock() < self._due:
            return False
        self._due = self._clock() + EVERY  # also where on_change fails in a way that nobody thought of
        try:
            served = self._fetch(self._etag)
            changed = served.changed and self._take(served)
        except (ConnectionError, ValueError) as problem:
            self._failed(problem)
            return False
        if self._cache is not None and not changed:
            self._cache.in_use()
        self._succeeded(EVERY if served.again is None else min(max(served.again, _SOONEST), EVERY))
        return changed

    def _take(self, served: Served) -> bool:
        if self.fetched and served.document == self._document:
            self._etag = served.etag
            return False
        self._put_in_force(served.document)
        self._etag = served.etag
        if self._cache is not None:
            self._cache.save(served.document)
        return True

    def _put_in_force(self, document: Any) -> None:
        config = parse_agent_config(document, self._warn)
        if self._on_change is not None:
            self._on_change(config)
        self.current, self._document = config, document

    def _succeeded(self, every: float) -> None:
        self.fetched = True
        self._problem = None
        self._wait = _FIRST_WAIT
        self._due = self._clock() + every * _chance.uniform(0.9, 1.1)

    def _failed(self, problem: Exception) -> None:
        """Come back soon, later each time, until there was a first configuration; warn once of one kind of failure."""
        self._due = self._clock() + self._wait * _chance.uniform(1.0, 1.3)
        self._wait = min(self._wait * 2, EVERY)
        text = str(problem)
        if text != self._problem:
            self._problem = text
            kept = "the last one stays in force" if self._document is not None else "there is none in force yet"
            kind = "" if isinstance(problem, AgentConfigError | ConnectionError) else f"{type(problem).__name__}: "
            self._warn(f"agent-config could not be fetched ({kind}{text}); {kept}")
