"""Fail open, in one place: what is ours may fail, what is the app's goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from metlo_otel.core.correlation import ids_of, in_words
from metlo_otel.core.settings import SettingsError

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

T = TypeVar("T")

_EVERY = 60.0  # seconds between two log lines of the same kind
_MOST_KINDS = 1000


class RateLimitedLog:
    """A logger that says the same kind of thing at most once a minute, and then how often it happened.

    There is no lock, which a fork could leave locked: at worst two threads say the same thing once each.
    """

    def __init__(self, logger: logging.Logger, every: float = _EVERY) -> None:
        self._logger = logger
        self._every = every
        self._seen: dict[str, tuple[float, int]] = {}

    def say(self, level: int, kind: str, message: str, *about: object) -> None:
        """Log `message` unless something of this `kind` was said within the last minute; count it all the same.

        The ids of the exchange that it is `about`, or that is served now, stand behind it and on the log record.
        """
        now = time.monotonic()
        last, silent = self._seen.get(kind, (now - self._every, 0))
        if now - last < self._every:
            self._seen[kind] = (last, silent + 1)
            return
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        more = f" ({silent} more of this since the last line)" if silent else ""
        ids = ids_of(*about)
        self._logger.log(level, "%s%s%s", message, in_words(ids), more, extra=ids)


class Guard:
    """Calls our own code so that a failure in it never reaches the app. Never put the app's own call in here."""

    def __init__(self, log: RateLimitedLog) -> None:
        self.log = log
        self.failures = 0
        self.unsaid = 0

    def run(self, function: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]) -> T | None:
        """What `function` returns; None when it raised an Exception, which is logged at most once a minute a kind."""
        try:
            return function(*args)
        except Exception as problem:  # noqa: BLE001 - the one place where we fail open
            self.failed(function, problem, *args)
            return None

    async def wait(self, awaitable: Awaitable[T | None]) -> T | None:
        """What `awaitable` gives; None when it raised an Exception, as in run()."""
        try:
            return await awaitable
        except Exception as problem:  # noqa: BLE001 - the same place, for async code
            self.failed(awaitable, problem)
            return None

    def failed(self, function: object, problem: Exception, *about: object) -> None:
        """Note a failure. Its text may hold the request's content, so only its type and place are logged, and the ids
        of the exchange that it was `about`; that of wrong settings is our own.
        """
        self.failures += 1
        try:
            self._say(function, problem, *about)
        except Exception:  # noqa: BLE001 - the app's logging, a filter of its for one, may raise: then it is counted alone
            self.unsaid += 1

    def _say(self, function: object, problem: Exception, *about: object) -> None:
        name = getattr(function, "__qualname__", type(function).__name__)
        kind = f"{name}:{type(problem).__name__}"
        self.log.say(
            logging.ERROR,
            kind,
            str(problem)
            if isinstance(problem, SettingsError)
            else f"{name} failed with {type(problem).__name__} at {_place(problem)}; the app goes on",
            *about,
            function,
        )


def _place(problem: BaseException) -> str:
    """File and line of the innermost frame."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
