"""The process's end: everything that waits is sent within one time limit, however many agents there are."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Protocol

AT_EXIT = 3.0  # seconds that the process's end waits for what is left, in all
_IN_VAIN = 10.0  # seconds after a wait in vain in which nobody waits again


class Endable(Protocol):
    """Something that has exchanges to send."""

    def hurry(self) -> None:
        """Send what waits, now; does not wait for it."""

    def finish(self, deadline: float) -> bool:
        """Wait until all is sent, or time.monotonic() is `deadline`, or there is no hope; whether all was sent."""

    def close(self) -> None:
        """Stop: what is not sent is dropped, and the log says so."""


class Ending:
    """Ends what lives, all at the same time; keeps nothing alive."""

    def __init__(self) -> None:
        self._living: weakref.WeakSet[Endable] = weakref.WeakSet()
        self._registered = False
        self._in_vain = -_IN_VAIN
        self._child = 0

    def watch(self, item: Endable) -> None:
        """Have `item` ended with the process."""
        self._living.add(item)
        if not self._registered:
            self._registered = True
            atexit.register(self.end)

    def watch_child(self) -> None:
        """End with this process where it is a child of multiprocessing's, which ends without atexit; once a process."""
        util, process = (sys.modules.get(f"multiprocessing.{name}") for name in ("util", "process"))
        if util is None or process is None or process.parent_process() is None or self._child == os.getpid():
            return
        self._child = os.getpid()
        util.Finalize(None, self.end, exitpriority=0)

    def finish(self) -> bool:
        """Send what waits, within AT_EXIT seconds, or none where somebody has just waited in vain; whether all was."""
        living = list(self._living)
        for item in living:
            item.hurry()
        now = time.monotonic()
        deadline = now if now - self._in_vain < _IN_VAIN else now + AT_EXIT
        finished = [item.finish(deadline) for item in living]
        if not all(finished):
            self._in_vain = time.monotonic()
        return all(finished)

    def end(self) -> None:
        """Send what waits, as finish() does, and stop."""
        self.finish()
        for item in list(self._living):
            item.close()


ending = Ending()  # a process ends once
