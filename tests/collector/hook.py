"""A webhook for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """What it got, with the signatures, and the status that it answers."""

    url: str
    status: int = 200
    got: list[tuple[str, bytes]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        """The kinds of all alerts that it was told of."""
        return [alert["kind"] for alert in self.alerts()]

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that it was told of."""
        return [alert for _, body in self.got for alert in json.loads(body)["alerts"]]


@contextmanager
def running_hook() -> Iterator[Hook]:
    """A webhook on any free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status == 200:
                hook.got.append((self.headers["Metlo-Signature"], body))
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Hook(f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
