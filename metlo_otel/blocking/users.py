"""Users that the application itself asked to be blocked, for a time."""

from __future__ import annotations

import math
import threading


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
        if not user or not seconds > 0:
            raise ValueError(f"block_user takes a user id and seconds above 0, not {user!r} and {seconds!r}")
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
