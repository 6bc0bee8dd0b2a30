"""A real server in a process of its own: started, waited for, and ended by its pid."""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from metlo_otel.testing import MemoryCollector

Found = TypeVar("Found")
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
PATIENCE = 30.0  # seconds that a server may take to start or to end

_LISTENING = re.compile(r"https?://127\.0\.0\.1:(\d+)")


class Server:
    """`python -m <arguments>` with the agent's settings in its environment; `port` is where it listens.

    With a `program` of this environment, that is run instead.
    """

    def __init__(
        self, collector: MemoryCollector, *arguments: str, ready: str, program: str = "", **environ: str
    ) -> None:
        self._arguments = [str(PROGRAMS / program)] if program else [sys.executable, "-m"]
        self._arguments += arguments
        self._ready = ready
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "PYTEST_"))},
            "METLO_HOST": collector.url,
            "METLO_API_KEY": collector.api_key,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(PROGRAMS), os.environ["PATH"]]),
            **environ,
        }
        self.output: list[str] = []
        self._told = threading.Condition()
        self._is_ready = threading.Event()
        self.port = 0

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            self._arguments, cwd=ROOT, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        if not self._is_ready.wait(PATIENCE) or self.process.poll() is not None:
            self.end()
            raise TimeoutError("the server did not start:\n" + "".join(self.output))
        self._knock()
        return self

    def _knock(self) -> None:
        """Workers say that they have started just before they listen."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> int:
        """SIGTERM, as a process manager ends a server; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait(PATIENCE)
            raise TimeoutError("the server did not end:\n" + "".join(self.output)) from None
        finally:
            self._reader.join(PATIENCE)
            if self.process.stdout is not None:
                self.process.stdout.close()
        return status

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            with self._told:
                self.output.append(line)
                self._told.notify_all()
            found = _LISTENING.search(line)
            if found and not self.port:  # the agent may name its collector later
                self.port = int(found[1])
            if self._ready in line:
                self._is_ready.set()
        self._is_ready.set()

    def hear(self, find: Callable[[str], dict[str, Found]], count: int) -> dict[str, Found]:
        """What `find` finds in the output, as soon as it is so many."""
        with self._told:
            heard = self._told.wait_for(lambda: len(find("".join(self.output))) >= count, PATIENCE)
            assert heard, "".join(self.output)
            return find("".join(self.output))

    def connect(self) -> http.client.HTTPConnection:
        """A connection of a client's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of a request; an iterable body is sent in chunks."""
        connection = self.connect()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, names, encode_chunked=chunked)  # type: ignore[arg-type]  # any iterable
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def post_late(self, path: str, pieces: tuple[bytes, ...], pause: float, *headers: str) -> bytes:
        """All that comes back of a POST whose pieces are sent so many seconds apart, or at once when it is answered."""
        size = sum(map(len, pieces))
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: shop.example",
            "Connection: close",
            f"Content-Length: {size}",
            *headers,
        ]
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            for piece in pieces:
                select.select([connection], [], [], pause)
                connection.sendall(piece)
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    def leave_stream(self, path: str, after: int) -> bytes:
        """Ask for a stream and hang up after so many bytes of it; they."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
            received = b""
            while received.count(b"tick") < after:
                received += connection.recv(64)
        return received


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
