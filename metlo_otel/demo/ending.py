"""Being asked to end: a signal is only noted, and heeded where nothing is half done."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, kill, a closed terminal (which Windows does not have)
_STEP = 0.1  # seconds after which a wait looks whether it should end


class Ending:
    """Notes these signals while its `with` lasts. `check` raises KeyboardInterrupt once one came; a second one does so
    at once, for who has no more patience.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> Ending:
        for number in [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]:
            self._before.append((number, signal.signal(number, self._note)))
        return self

    def __exit__(self, *_problem: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt where a signal came."""
        if self._asked:
            raise KeyboardInterrupt

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait for `seconds` or `until` something is so; whether it is. Raises KeyboardInterrupt as `check` does."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.check()
            time.sleep(min(_STEP, seconds))
        self.check()
        return until()

    def _note(self, *_signal: object) -> None:
        self.check()
        self._asked = True
