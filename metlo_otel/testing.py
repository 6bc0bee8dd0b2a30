"""For tests of apps that use metlo_otel: a collector in memory, on a loopback port, that keeps what it is sent."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeVar

API_KEY = "test-key"
Collector = TypeVar("Collector", bound="MemoryCollector")


class MemoryCollector:
    """A Metlo collector and backend on one port: `url`, `api_key`, and the `traces` that have arrived.

    A context manager. Set `config` (an agent-config document) and `status` (of answers to batches) any time.

        with MemoryCollector() as collector:
            MetloFlask(app, collector.url, collector.api_key)
            app.test_client().get("/")
            (trace,) = collector.wait(1)
    """

    def __init__(self, config: dict[str, Any] | None = None, api_key: str = API_KEY) -> None:
        self.api_key = api_key
        self.config = config or {}
        self.status = 200
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.traces: list[dict[str, Any]] = []
        self.aggregates: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What METLO_HOST is set to."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self, count: int, seconds: float = 10.0) -> list[dict[str, Any]]:
        """The traces, as soon as there are `count`. Raises TimeoutError, naming how many there are, after `seconds`."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.traces) >= count, seconds):
                raise TimeoutError(f"{len(self.traces)} of {count} traces arrived within {seconds} s")
            return list(self.traces)

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._arrived:
            self.traces.clear()
            self.aggregates.clear()
            self.requests.clear()

    def __enter__(self: Collector) -> Collector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # wakes the server, which looks only now and then whether it is to end
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def receive(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer one call of an agent: status and body."""
        with self._arrived:
            self.requests.append((method, path, headers))
            if headers.get("authorization") != self.api_key:
                return 401, b"Client unauthorized"
            if method == "GET":
                return self._get(path)
            if self.status == 200:
                if path == "/api/v1/aggregates":
                    self.aggregates.append(json.loads(body))
                else:
                    self.traces.extend(_traces(path, json.loads(body)))
                self._arrived.notify_all()
            return self.status, b"OK" if self.status == 200 else b""

    def _get(self, path: str) -> tuple[int, bytes]:
        if path == "/api/v1/agent-config":
            return 200, json.dumps(self.config).encode()
        return (200, b"OK") if path in ("/api/v1", "/api/v1/verify") else (404, b"Not Found")


def _traces(path: str, sent: Any) -> list[dict[str, Any]]:
    return sent if path.endswith("/batch") else [sent]


def _handler(collector: MemoryCollector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(_decompressed(body, self.headers.get("Content-Encoding", "")))

        def _answer(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = collector.receive(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name for it
            """Tests stay quiet."""

    return Handler


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body
