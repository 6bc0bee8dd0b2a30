"""A collector and backend on a loopback port whose answers a test decides."""

from __future__ import annotations

import gzip
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {}, b"OK")
HANG: Answer = (0, {}, b"")
GARBAGE: Answer = (-1, {}, b"\x00\xffnonsense, not HTTP\r\n\r\n")


class Metlo:
    """What arrived, and what is answered: the next of `answers`, else OK; `config` is the agent-config document."""

    def __init__(self, port: int = 0) -> None:
        self.config: Any = {"globalFullTraceCapture": True}
        self.etag: str | None = None
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.always: Answer = OK
        self.config_answer: Answer | None = None
        self.posts: queue.Queue[list[dict[str, Any]]] = queue.Queue()
        self.sums: queue.Queue[Any] = queue.Queue()
        self.tried = threading.Semaphore(0)
        self.headers: list[dict[str, str]] = []
        self.gets: list[dict[str, str]] = []
        self.connections = 0
        self.released = threading.Event()
        self.slowness = 0.0  # seconds before a batch is answered
        self._server = _Server(port, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it listens, as METLO_HOST says it."""
        return f"http://127.0.0.1:{self.port}"

    def next_batch(self, seconds: float = 10.0) -> list[dict[str, Any]]:
        """The next batch that was taken."""
        return self.posts.get(timeout=seconds)

    def traces(self) -> list[dict[str, Any]]:
        """All that was taken and not asked for yet."""
        found = []
        while not self.posts.empty():
            found += self.posts.get()
        return found

    def counted(self) -> list[dict[str, Any]]:
        """The series of all aggregates that were taken and not asked for yet."""
        found = []
        while not self.sums.empty():
            found += self.sums.get()["series"]
        return found

    def close(self) -> None:
        """Stop listening."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """Serves one Metlo."""

    daemon_threads = True

    def __init__(self, port: int, metlo: Metlo) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.metlo = metlo


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def metlo(self) -> Metlo:
        """Who answers."""
        assert isinstance(self.server, _Server)
        return self.server.metlo

    def setup(self) -> None:
        super().setup()
        self.metlo.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        metlo = self.metlo
        metlo.headers.append(dict(self.headers))
        try:
            answer = metlo.answers.get_nowait()
        except queue.Empty:
            answer = metlo.always
        if answer[0] == 200:
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            assert len(body) <= 2_097_152
            (metlo.sums if self.path == "/api/v1/aggregates" else metlo.posts).put(json.loads(body))
        metlo.tried.release()
        metlo.released.wait(metlo.slowness)
        self._answer(answer)

    def do_GET(self) -> None:
        metlo = self.metlo
        metlo.gets.append(dict(self.headers))
        if metlo.config_answer is not None:
            self._answer(metlo.config_answer)
        elif metlo.etag and self.headers["If-None-Match"] == metlo.etag:
            self._answer((304, {}, b""))
        else:
            tag = {"ETag": metlo.etag} if metlo.etag else {}
            self._answer((200, tag, json.dumps(metlo.config).encode()))

    def _answer(self, answer: Answer) -> None:
        try:
            self._write(*answer)
        except ConnectionError:  # the client has gone: a test's matter, not the server's
            self.close_connection = True

    def _write(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if status <= 0:
            self.close_connection = True
            if status == 0:
                self.metlo.released.wait(60)
            else:
                self.wfile.write(body)
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""
