"""Which Redis counts a client: the only one, the master that sentinels name, or the node of a cluster with its slot.

Requests look it up in memory. Who it is asks the worker: at the start, when a server fails, and when a slot has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from metlo_otel.blocking.redis_node import Circuit, Node
from metlo_otel.core.redis_url import CLUSTER, SENTINEL, RedisUrl

Warn = Callable[[str], None]
Clock = Callable[[], float]
Address = tuple[str, int]

_SLOTS = 16_384  # of a cluster, as its specification has it
_NAMED_AGAIN = 2.0  # seconds at most between two questions who counts, while nobody says
_ASKING = 0.5  # seconds for an answer of who counts, which no request waits for


class Topology(Protocol):
    """Finds who counts."""

    def find(self, name: str) -> Node | None:
        """Who counts the window of this name, None where nobody knows for now. For requests."""

    def tick(self) -> None:
        """See who counts, where that is not known or does not answer. For the worker."""

    def close(self) -> None:
        """Close the connections."""


def open_topology(url: RedisUrl, budget: float, warn: Warn, clock: Clock) -> Topology:
    """What a URL names. Raises ValueError where redis-py does not understand it."""
    if url.kind == CLUSTER:
        return Cluster(url, budget, warn, clock)
    if url.kind == SENTINEL:
        return Sentinels(url, budget, warn, clock)
    return Single(Node(url.whole, budget, Circuit(warn, clock)))


class Single:
    """One server."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def find(self, name: str) -> Node:  # noqa: ARG002 - there is only one
        """That server."""
        return self._node

    def tick(self) -> None:
        """Try again what has failed."""
        self._node.tick()

    def close(self) -> None:
        """Close the connections."""
        self._node.close()


class _Discovered:
    """What nodes have in common that somebody must name first. `_ask_who` raises RedisError and OSError."""

    def __init__(self, url: RedisUrl, budget: float, warn: Warn, clock: Clock, whom: str) -> None:
        import redis

        self._url, self._budget, self._warn, self._clock = url, budget, warn, clock
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._naming = Circuit(warn, clock, True, whom, _NAMED_AGAIN)
        self._stale = True
        self._nodes: dict[Address, Node] = {}
        Node(url.at("127.0.0.1", 1), budget, Circuit(warn, clock)).close()  # raises for wrong options

    def tick(self) -> None:
        """See who counts, where that is not known, has moved, or does not answer."""
        if self._stale or any(node.circuit.is_open for node in self._nodes.values()):
            self._discover()
        for node in list(self._nodes.values()):
            node.tick()

    def close(self) -> None:
        """Close the connections."""
        for node in self._nodes.values():
            node.close()

    def _discover(self) -> None:
        if self._naming.is_open and not self._naming.is_due():
            return
        self._stale = False
        try:
            self._ask_who()
        except self._errors as problem:
            self._stale = True
            self._naming.failed(problem)
        else:
            self._naming.worked()

    def _use(self, addresses: Iterable[Address]) -> dict[Address, Node]:
        """The nodes at these addresses; those that there are go on, those that are gone are closed."""
        before = self._nodes
        self._nodes = {each: before.get(each) or self._open(each) for each in addresses}
        for address in before.keys() - self._nodes.keys():
            if before[address].circuit.is_open:
                self._warn(f"rate limits: others count in place of Redis at {_shown(address)} now")
            before[address].close()
        return self._nodes

    def _open(self, address: Address) -> Node:
        circuit = Circuit(self._warn, self._clock, whom=f"Redis at {_shown(address)}")
        return Node(self._url.at(*address), self._budget, circuit, self._moved)

    def _moved(self) -> None:
        self._stale = True

    def _ask_who(self) -> None:
        raise NotImplementedError


class Sentinels(_Discovered):
    """The master that sentinels name."""

    def __init__(self, url: RedisUrl, budget: float, warn: Warn, clock: Clock) -> None:
        super().__init__(url, budget, warn, clock, f"the sentinels of {url.master}")
        from redis import sentinel

        times = {"socket_timeout": _ASKING, "socket_connect_timeout": _ASKING, "retry": _never_again()}
        tls = {"ssl": True} if url.scheme == "rediss" else {}
        asking: Any = sentinel.Sentinel  # untyped
        self._sentinels = asking(list(url.hosts), sentinel_kwargs={**times, **tls, **url.sentinels})
        self._master: Node | None = None

    def find(self, name: str) -> Node | None:  # noqa: ARG002 - there is only one
        """The master."""
        return self._master

    def _ask_who(self) -> None:
        host, port = self._sentinels.discover_master(self._url.master)
        (self._master,) = self._use([(str(host), int(port))]).values()


class Cluster(_Discovered):
    """The nodes of a cluster, by slot."""

    def __init__(self, url: RedisUrl, budget: float, warn: Warn, clock: Clock) -> None:
        super().__init__(url, budget, warn, clock, "the cluster")
        from redis.crc import key_slot

        self._slot_of = key_slot
        self._slots: list[Node | None] = [None] * _SLOTS

    def find(self, name: str) -> Node | None:
        """The node that has the slot of a name."""
        return self._slots[self._slot_of(name.encode())]

    def _ask_who(self) -> None:
        ranges = self._ranges()
        nodes = self._use(dict.fromkeys(address for _, _, address in ranges))
        slots: list[Node | None] = [None] * _SLOTS
        for first, last, address in ranges:
            slots[first : last + 1] = [nodes[address]] * (last + 1 - first)
        self._slots = slots

    def _ranges(self) -> list[tuple[int, int, Address]]:
        """First and last slot of each range and who has it, as the first node says that answers."""
        problem: Exception | None = None
        sound = [address for address, node in self._nodes.items() if not node.circuit.is_open]
        for address in dict.fromkeys([*sound, *self._url.hosts, *self._nodes]):
            try:
                return _slots_by(self._url.at(*address), address)
            except self._errors as found:
                problem = found
        raise problem or OSError("the URL names no node")


def _slots_by(url: str, address: Address) -> list[tuple[int, int, Address]]:
    """What the node at `address` says (CLUSTER SLOTS); one without a name is that node itself."""
    import redis

    client: Any = redis.Redis.from_url(  # untyped
        url, socket_timeout=_ASKING, socket_connect_timeout=_ASKING, retry=_never_again(), decode_responses=True
    )
    with client:
        found: Any = client.execute_command("CLUSTER SLOTS")
    return [
        (int(first), int(last), (address[0] if host in (None, "", "?") else str(host), int(port)))
        for first, last, (host, port, *_), *_ in found
    ]


def _shown(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _never_again() -> Any:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Retry(NoBackoff(), 0)
