"""One Redis that counts, asked within its budget or left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from metlo_otel.core.addresses import pack

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds without asking after a failure
_PROBE = [1, 1_000_000, 0, "1"]  # a threshold of one a second, counted: the whole way that a request goes
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


class Node:
    """The server at `url`; an answer has `budget` seconds, unless the URL says otherwise.

    A failure opens the circuit: it is not asked until tick() finds that it counts again. Where the URL has a host name,
    tick() comes first: looking it up may take seconds. `moved` is told where a key is another node's now.
    """

    def __init__(
        self,
        url: str,
        budget: float,
        circuit: Circuit,
        moved: Callable[[], None] | None = None,
    ) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.exceptions import AskError, MovedError
        from redis.retry import Retry

        self._client: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=budget, socket_connect_timeout=budget, retry=Retry(NoBackoff(), 0)
        )
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._elsewhere = (MovedError, AskError)
        self._script = self._client.register_script(_SCRIPT)
        self._failed_at: str | None = None
        self._moved = moved or _nobody
        self.circuit = circuit
        if _is_name(self._client.connection_pool.connection_kwargs.get("host")):
            circuit.is_open = True

    def ask(self, name: str, numbers: Sequence[Any]) -> float:
        """What the script answers for a client's window, in seconds; 0 where nothing answers."""
        if self.circuit.is_open:
            return 0.0
        try:
            return self._run(name, numbers) / 1000
        except self._elsewhere:
            self._moved()
        except self._errors as problem:
            self._failed_at = name
            self.circuit.failed(problem)
        return 0.0

    def tick(self) -> None:
        """Try whether it counts again, when it is time to. For the worker, whom it may keep waiting."""
        if not self.circuit.is_due():
            return
        try:
            if self._failed_at is None:
                self._client.ping()
            else:
                self._run(f"{self._failed_at}:probe", _PROBE)  # in the same slot of a cluster
        except self._elsewhere:
            self._moved()
        except self._errors as problem:
            self.circuit.failed(problem)
        else:
            self.circuit.worked()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, name: str, numbers: Sequence[Any]) -> float:
        return float(self._script(keys=[name, name + ":out"], args=list(numbers)))


class Circuit:
    """Whether requests may ask, and while it is open, when to try: in a second, then in twice as long, and so on up to
    `longest` seconds. `warn` is told once when it opens after a failure, and once when `whom` answers again.
    """

    __slots__ = ("_clock", "_due", "_lock", "_longest", "_pause", "_warn", "_whom", "is_open")

    def __init__(
        self,
        warn: Callable[[str], None],
        clock: Callable[[], float],
        is_open: bool = False,
        whom: str = "Redis",
        longest: float = _LONGEST_PAUSE,
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._whom = whom
        self._longest = longest
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
            self._pause = min(self._pause * 2, self._longest) if self._pause else _SHORTEST_PAUSE
            self._due = self._clock() + self._pause
            self.is_open = True
        if first:
            self._warn(f"rate limits: no answer from {self._whom} ({problem}); requests pass uncounted meanwhile")

    def worked(self) -> None:
        """Note that an answer came."""
        with self._lock:
            again = self._pause > 0
            self._pause, self.is_open = 0.0, False
        if again:
            self._warn(f"rate limits: {self._whom} answers again; requests are counted")


def _nobody() -> None:
    """Nobody is told."""


def _is_name(host: str | None) -> bool:
    """Whether a host must be looked up; there is none where Redis listens on a Unix socket."""
    return host is not None and host != "localhost" and pack(host) is None
