"""Objects that a forked process must make anew: locks, queues, connections and threads do not survive a fork."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that holds a lock, a thread or a connection."""

    def after_fork(self) -> None:
        """Begin anew in the child; runs before anything else does there."""


# One registry a process, which keeps nobody alive: the interpreter's fork hooks cannot be taken back.
_living: weakref.WeakSet[Forkable] = weakref.WeakSet()


def renew_after_fork(item: Forkable) -> None:
    """Have `item.after_fork()` called in every process forked from this one, as long as the item lives."""
    _living.add(item)


def _in_child() -> None:
    for item in list(_living):
        item.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
