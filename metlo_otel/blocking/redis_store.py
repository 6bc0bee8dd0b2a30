"""Counters in Redis or Valkey, for limits that hold over all workers and hosts.

Each client's window is a list of the times of the requests that passed, the newest last and never longer than
the threshold: the window is full where the list is and its oldest time is inside the interval. A second key
says until when the client is out. The script reads Redis's own clock, because the hosts' clocks differ.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from metlo_otel.blocking.rate_limits import Limit
from metlo_otel.blocking.redis_topology import open_topology
from metlo_otel.core.redis_url import read_redis_url

BUDGET = 0.005  # seconds for one answer


class RedisStore:
    """Counters in what `url` names (needs the extra `redis`); each answer has `budget` seconds.

    A failure opens the circuit of the server that failed: what it counts passes uncounted and unasked until tick()
    finds that it, or who took its place, answers. `warn` is told once when that begins and once when it ends. Where the
    URL has a host name, or servers must be asked who counts, tick() comes first: that may take seconds. Raises
    ImportError without the client library and ValueError for what is no such URL.
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
            import redis  # noqa: F401 - the topology's, which is asked for here
        except ImportError as problem:
            raise ImportError(
                f"rate limits in Redis need the extra: pip install metlo-otel[redis] ({problem})"
            ) from None
        self._topology = open_topology(read_redis_url(url), budget, warn, clock)
        self._prefix = prefix

    def hit(self, limit: Limit, key: str, now: float) -> float:  # noqa: ARG002  # Redis has its own clock
        """Count a request: 0 where it passes, else the seconds to wait. Redis's clock counts, not `now`."""
        return self._ask(limit, key, "1")

    def check(self, limit: Limit, key: str, now: float) -> float:  # noqa: ARG002  # Redis has its own clock
        """As `hit` for a request that is not counted yet."""
        return self._ask(limit, key, "0")

    def tick(self) -> None:
        """See who counts and whether it answers again, when it is time to. For the worker, whom it may keep waiting."""
        self._topology.tick()

    def close(self) -> None:
        """Close the connections."""
        self._topology.close()

    def _ask(self, limit: Limit, key: str, count: str) -> float:
        digest = hashlib.blake2b(f"{limit.id}\0{key}".encode("utf-8", "replace"), digest_size=16).hexdigest()
        name = f"{self._prefix}:{{{digest}}}"  # braces: all keys of a client are on the same node of a cluster
        node = self._topology.find(name)
        if node is None:
            return 0.0
        numbers: list[Any] = [limit.threshold, int(limit.interval * 1e6), int(limit.duration * 1e3), count]
        return node.ask(name, numbers)
