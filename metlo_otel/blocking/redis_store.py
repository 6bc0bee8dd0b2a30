"""Counters in Redis, for limits that hold over all workers and hosts.

Each client's window is a list of the times of the requests that passed, the newest last and never longer than
the threshold: the window is full where the list is and its oldest time is inside the interval. A second key
says until when the client is out. The script reads Redis's own clock, because the hosts' clocks differ.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metlo_otel.blocking.rate_limits import Limit
from metlo_otel.core.addresses import pack

if TYPE_CHECKING:
    from redis import Redis

BUDGET = 0.005  # seconds for one answer
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds without asking after a failure
_SCRIPT = """
local out = redis.call('PTTL', KEYS[2])
if out > 0 then return out end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local threshold, interval, duration = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('LLEN', KEYS[1]) >= threshold then
  local left = tonumber(redis.call('LINDEX', KEYS[1], -threshold)) + interval - now
  if left > 0 and left <= interval then
    if duration == 0 then return math.ceil(left / 1000) end
    redis.call('SET', KEYS[2], 1, 'PX', duration)
    return duration
  end
end
if ARGV[4] == '1' then
  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('LTRIM', KEYS[1], -threshold, -1)
  redis.call('PEXPIRE', KEYS[1], math.ceil(interval / 1000))
end
return 0
"""


class RedisStore:
    """Counters in the Redis at `url` (needs the extra `redis`); each answer has `budget` seconds.

    A failure opens the circuit: requests pass uncounted and unasked until tick() finds that Redis answers. `warn` is
    told once when that begins and once when it ends. Where the URL has a host name, tick() comes first: looking it up
    may take seconds. Raises ImportError without the client library and ValueError for what is no Redis URL.
    """

    def __init__(
        self,
        url: str,
        warn: Callable[[str], None],
        prefix: str = "metlo",
        budget: float = BUDGET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as problem:
            raise ImportError(
                f"rate limits in Redis need the extra: pip install metlo-otel[redis] ({problem})"
            ) from None
        self._client: Redis = redis.Redis.from_url(
            url, socket_timeout=budget, socket_connect_timeout=budget, retry=Retry(NoBackoff(), 0)
        )
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._script = self._client.register_script(_SCRIPT)
        self._prefix = prefix
        self._circuit = Circuit(
            warn, clock, is_open=_is_name(self._client.connection_pool.connection_kwargs.get("host"))
        )

    def hit(self, limit: Limit, key: str, now: float) -> float:  # noqa: ARG002  # Redis has its own clock
        """Count a request: 0 where it passes, else the seconds to wait. Redis's clock counts, not `now`."""
        return self._ask(limit, key, "1")

    def check(self, limit: Limit, key: str, now: float) -> float:  # noqa: ARG002  # Redis has its own clock
        """As `hit` for a request that is not counted yet."""
        return self._ask(limit, key, "0")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, limit: Limit, key: str, count: str) -> float:
        if self._circuit.is_open:
            return 0.0
        digest = hashlib.blake2b(f"{limit.id}\0{key}".encode("utf-8", "replace"), digest_size=16).hexdigest()
        name = f"{self._prefix}:{{{digest}}}"  # braces: both keys on the same node of a cluster
        numbers: list[Any] = [limit.threshold, int(limit.interval * 1e6), int(limit.duration * 1e3), count]
        try:
            answer = self._script(keys=[name, name + ":out"], args=numbers)
        except self._errors as problem:
            self._circuit.failed(problem)
            return 0.0
        return float(answer) / 1000

    def tick(self) -> None:
        """Try whether Redis answers again, when it is time to. For the worker, whom it may keep waiting."""
        if not self._circuit.is_due():
            return
        try:
            self._client.ping()
        except self._errors as problem:
            self._circuit.failed(problem)
        else:
            self._circuit.worked()


class Circuit:
    """Whether requests may ask, and while it is open, when to try: in a second, then in twice as long, and so on."""

    __slots__ = ("_clock", "_due", "_lock", "_pause", "_warn", "is_open")

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float], is_open: bool = False) -> None:
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._due = 0.0
        self._pause = 0.0
        self.is_open = is_open

    def is_due(self) -> bool:
        """Whether the circuit is open and it is time to try."""
        return self.is_open and self._clock() >= self._due

    def failed(self, problem: Exception) -> None:
        """Note that no answer came; several requests may find that at the same time."""
        with self._lock:
            if self.is_open and self._clock() < self._due:
                return
            first = not self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE) if self._pause else _SHORTEST_PAUSE
            self._due = self._clock() + self._pause
            self.is_open = True
        if first:
            self._warn(f"rate limits: no answer from Redis ({problem}); requests pass uncounted meanwhile")

    def worked(self) -> None:
        """Note that an answer came."""
        with self._lock:
            again = self._pause > 0
            self._pause, self.is_open = 0.0, False
        if again:
            self._warn("rate limits: Redis answers again; requests are counted")


def _is_name(host: str | None) -> bool:
    """Whether a host must be looked up; there is none where Redis listens on a Unix socket."""
    return host is not None and host != "localhost" and pack(host) is None
