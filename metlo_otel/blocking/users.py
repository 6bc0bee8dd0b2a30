"""Users that the application itself asked to be blocked, for a time."""

from __future__ import annotations

import math
import threading
from typing import Protocol

from metlo_otel.blocking.rate_limits import Limit
from metlo_otel.blocking.shared_store import SharedStore

_LIMIT = Limit("\0blocked users", 2**53, 1.0, math.inf)  # nobody gets over it: only the time out is used


class UserBlocks(Protocol):
    """Who the application blocked; false while nobody is."""

    def __bool__(self) -> bool:
        """Whether anybody may be blocked."""

    def block(self, user: str, seconds: float, now: float) -> None:
        """Block a user for `seconds` from `now` (seconds since the epoch). Raises ValueError for what is no
        time.
        """

    def unblock(self, user: str) -> bool:
        """Let a user pass again; says whether the user was blocked."""

    def seconds_left(self, user: str, now: float) -> float:
        """For how long a user is still blocked, 0 where not."""


class BlockedUsers:
    """User ids until when they are blocked: at most `most`, the one that ends first makes room."""

    __slots__ = ("_lock", "_most", "_until")

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._until)

    def __len__(self) -> int:
        return len(self._until)

    def block(self, user: str, seconds: float, now: float) -> None:
        """Block a user for `seconds` from `now` (seconds since the epoch). Raises ValueError for what is no
        time.
        """
        _check(user, seconds)
        with self._lock:
            if user not in self._until and len(self._until) >= self._most:
                self._make_room(now)
            self._until[user] = now + seconds

    def unblock(self, user: str) -> bool:
        """Let a user pass again; says whether the user was blocked."""
        with self._lock:
            return self._until.pop(user, None) is not None

    def seconds_left(self, user: str, now: float) -> float:
        """For how long a user is still blocked, 0 where not."""
        until = self._until.get(user, -math.inf)
        if until > now:
            return until - now
        if until != -math.inf:
            self._forget(user, now)
        return 0.0

    def _forget(self, user: str, now: float) -> None:
        with self._lock:
            if self._until.get(user, math.inf) <= now:
                del self._until[user]

    def _make_room(self, now: float) -> None:
        for user in [user for user, until in self._until.items() if until <= now]:
            del self._until[user]
        while len(self._until) >= self._most:
            del self._until[min(self._until, key=self._until.__getitem__)]


class SharedUsers:
    """User ids blocked in all processes that share a store; each process sees what another one blocked at
    once.
    """

    __slots__ = ("_own", "_store")

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._own = BlockedUsers()  # takes those that the store cannot take at the moment

    def __bool__(self) -> bool:
        return self._store.held_until > 0 or bool(self._own)

    def block(self, user: str, seconds: float, now: float) -> None:
        """Block a user for `seconds` from `now` (seconds since the epoch). Raises ValueError for what is no
        time.
        """
        _check(user, seconds)
        if not self._store.hold(_LIMIT, user, now + seconds, now):
            self._own.block(user, seconds, now)

    def unblock(self, user: str) -> bool:
        """Let a user pass again; says whether the user was blocked."""
        own = self._own.unblock(user)
        shared = self._store.check(_LIMIT, user, 0.0) > 0
        return (shared and self._store.hold(_LIMIT, user, 0.0, 0.0)) or own

    def seconds_left(self, user: str, now: float) -> float:
        """For how long a user is still blocked, 0 where not."""
        left = self._own.seconds_left(user, now) if self._own else 0.0
        return left or (self._store.check(_LIMIT, user, now) if self._store.held_until > now else 0.0)


def _check(user: str, seconds: float) -> None:
    if not user or not seconds > 0:
        raise ValueError(f"block_user takes a user id and seconds above 0, not {user!r} and {seconds!r}")
