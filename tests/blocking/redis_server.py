"""Real Redis on loopback ports, started by hand: one server, a cluster, a master with sentinels."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

BINARY = shutil.which("redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """The URL of a server that keeps nothing on disk and ends with the block."""
    with _server("--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _server(*arguments: str, ready: str = "ready to accept connections") -> Iterator[subprocess.Popen[str]]:
    assert BINARY is not None
    command = [BINARY, *arguments, "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert any(ready in line.lower() for line in lines), "redis-server did not start"
            drain = threading.Thread(target=lambda: deque(lines, 0), daemon=True)  # a full pipe would hold it up
            drain.start()
            yield process
        finally:
            process.kill()
            process.wait()


class Servers:
    """Several, by port; each can be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def start(self, *arguments: str, ready: str = "ready to accept connections") -> int:
        """Start one with these arguments; its port."""
        port = free_port()
        folder = self._folder / str(port)
        folder.mkdir()
        places = ["--port", str(port), "--dir", str(folder)]
        if "--sentinel" not in arguments:
            places += ["--save", "", "--appendonly", "no"]
        head = [str(self._config(folder))] if "--sentinel" in arguments else []
        self._processes[port] = self._ends.enter_context(_server(*head, *places, *arguments, ready=ready))
        return port

    def kill(self, port: int) -> None:
        """End one without a word."""
        self._processes[port].kill()
        self._processes[port].wait()

    @staticmethod
    def _config(folder: Path) -> Path:
        """Sentinels write what they know into a file."""
        path = folder / "sentinel.conf"
        path.touch()
        return path


def ask(port: int, *command: object) -> Any:
    """The answer of a server to a command."""
    client: Any = redis.Redis("127.0.0.1", port, decode_responses=True)
    with client:
        return client.execute_command(*command)


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so; a server that is not there yet, or no more, says no."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while True:
        with suppress(redis.RedisError):
            if is_so():
                return
        assert time.monotonic() < deadline, "it was not so in time"
        pause.wait(0.05)


def start_cluster(servers: Servers) -> tuple[list[int], int]:
    """Three nodes that share the slots, and a fourth that stands by for the first."""
    timeout = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
    buses = [free_port() for _ in range(4)]
    ports = [servers.start(*timeout, "--cluster-port", str(bus)) for bus in buses]
    bounds = [0, 5461, 10923, 16384]
    for port, first, end in zip(ports, bounds, bounds[1:], strict=False):
        ask(port, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
    for epoch, port in enumerate(ports, 1):
        ask(port, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for port, bus in list(zip(ports, buses, strict=True))[1:]:
        ask(ports[0], "CLUSTER", "MEET", "127.0.0.1", port, bus)
    spare, first = ports[3], ask(ports[0], "CLUSTER", "MYID")
    wait_until(lambda: all("cluster_known_nodes:4" in _info(port) for port in ports))
    ask(spare, "CLUSTER", "REPLICATE", first)
    wait_until(lambda: all("cluster_state:ok" in _info(port) for port in ports))
    wait_until(lambda: ask(spare, "ROLE")[3] == "connected")
    return ports[:3], spare


def _info(port: int) -> str:
    client: Any = redis.Redis("127.0.0.1", port)
    with client:
        found = client.execute_command("CLUSTER INFO")
    return " ".join(f"{name}:{value}" for name, value in found.items())


def start_sentinels(servers: Servers) -> tuple[list[int], int]:
    """Three sentinels that watch a master called `counts`, which has a replica; and the master."""
    master = servers.start()
    replica = servers.start("--replicaof", "127.0.0.1", str(master))
    wait_until(lambda: ask(replica, "ROLE")[3] == "connected")
    sentinels = [servers.start("--sentinel", ready="sentinel id is") for _ in range(3)]
    for sentinel in sentinels:
        ask(sentinel, "SENTINEL", "MONITOR", "counts", "127.0.0.1", master, 2)
        for name, value in (("down-after-milliseconds", 500), ("failover-timeout", 5_000)):
            ask(sentinel, "SENTINEL", "SET", "counts", name, value)
    wait_until(lambda: all(_sees_all(sentinel) for sentinel in sentinels))
    return sentinels, master


def _sees_all(sentinel: int) -> bool:
    answer = ask(sentinel, "SENTINEL", "MASTERS")[0]
    found = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return (int(found["num-slaves"]), int(found["num-other-sentinels"])) == (1, 2)
