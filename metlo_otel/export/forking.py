"""Objects that a forked process must make anew: locks, queues, connections and threads do not survive a fork."""

from __future__ import annotations

import os
import weakref
from typing import Protocol, runtime_checkable


class Forkable(Protocol):
    """Something that holds a lock, a thread or a connection."""

    def after_fork(self) -> None:
        """Begin anew in the child; runs before anything else does there."""


@runtime_checkable
class Parkable(Protocol):
    """Something with a thread, which must not be in the middle of anything while the process forks."""

    def before_fork(self) -> None:
        """End the thread, within a time; it is started again when there is something to do."""

    def after_fork_in_parent(self) -> None:
        """The process has forked, or could not."""


# One registry a process, which keeps nobody alive: the interpreter's fork hooks cannot be taken back.
_living: weakref.WeakSet[Forkable] = weakref.WeakSet()


def renew_after_fork(item: Forkable) -> None:
    """Have `item.after_fork()` called in every process forked from this one, as long as the item lives.

    A Parkable item is told before the fork, too.
    """
    _living.add(item)


def _before() -> None:
    for item in list(_living):
        if isinstance(item, Parkable):
            item.before_fork()


def _in_parent() -> None:
    for item in list(_living):
        if isinstance(item, Parkable):
            item.after_fork_in_parent()


def _in_child() -> None:
    for item in list(_living):
        item.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
