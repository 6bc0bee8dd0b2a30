"""Real servers, each with the plain app and the guarded one behind one door, asked over sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.differential.guarded import DOOR, GUARDED
from tests.differential.message import Message, Trick

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds that a server may take to start or to answer
_WAIT = 2.0  # seconds for an answer that may never come, to a request that is no request
_MODULE = "tests.differential.guarded"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server is started: arguments in which {port}, {app} and {door} are filled in."""

    name: str
    app: str
    arguments: tuple[str, ...]
    http2: bool = False

    def command(self, port: int) -> list[str]:
        """The command, for a free port."""
        app = f"{_MODULE}:app_{self.app.replace('-', '_')}"
        door = f"{_MODULE}:asgi_door('{self.app}')"  # Hypercorn evaluates what it loads
        return [sys.executable, "-m", *[text.format(port=port, app=app, door=door) for text in self.arguments]]

    def tricks(self, tricks: Iterable[Trick]) -> list[Trick]:
        """Those that can be sent: over HTTP/2 there are no bytes of a request line to play with."""
        return [trick for trick in tricks if not (self.http2 and trick.build(trick.values[0]).wire)]


_UVICORN = ("uvicorn", "--port", "{port}", "--log-level", "critical", "--no-access-log", "--http")
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--log-level", "critical", "--threads", "4", "{app}")
_OWN = ("tests.differential.serve", "{app}", "{port}")
_HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}", "--log-level", "critical", "{door}")
_GRANIAN = ("granian", "--port", "{port}", "--no-log", "--interface")

KINDS = (
    Kind("gunicorn-flask", "flask", _GUNICORN),
    Kind("gunicorn-django", "django-wsgi", _GUNICORN),
    Kind("gunicorn-wsgi", "wsgi", _GUNICORN),
    Kind("werkzeug-flask", "flask", (*_OWN, "werkzeug")),
    Kind("wsgiref-wsgi", "wsgi", (*_OWN, "wsgiref")),
    Kind("wsgiref-django", "django-wsgi", (*_OWN, "wsgiref")),
    Kind("waitress-flask", "flask", ("waitress", "--listen", "127.0.0.1:{port}", "{app}")),
    Kind("waitress-wsgi", "wsgi", ("waitress", "--listen", "127.0.0.1:{port}", "{app}")),
    Kind("granian-flask", "flask", (*_GRANIAN, "wsgi", "{app}")),
    Kind("granian-fastapi", "fastapi", (*_GRANIAN, "asgi", "{app}")),
    Kind("uvicorn-h11-starlette", "starlette", (*_UVICORN, "h11", "{app}")),
    Kind("uvicorn-httptools-fastapi", "fastapi", (*_UVICORN, "httptools", "{app}")),
    Kind("uvicorn-httptools-asgi", "asgi", (*_UVICORN, "httptools", "{app}")),
    Kind("hypercorn-asgi", "asgi", _HYPERCORN),
    Kind("hypercorn-h2-starlette", "starlette", _HYPERCORN, http2=True),
    Kind("daphne-django", "django-asgi", ("daphne", "--port", "{port}", "--verbosity", "0", "{app}")),
)


class Running:
    """A server that runs, until end()."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": ""}
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        command = kind.command(self.port)
        self._process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=self._output, stderr=self._output)
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            time.sleep(0.05)
        self.end()
        raise TimeoutError(f"{self.kind.name} did not start")

    def ask(self, message: Message, guarded: bool) -> tuple[int, bytes]:
        """Status and body; status 0 where the server hangs up."""
        door = (DOOR, GUARDED if guarded else b"plain")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            if self.kind.http2:
                from tests.differential.http2 import ask

                return ask(connection, message, door)
            connection.settimeout(_WAIT if message.wire else PATIENCE)
            connection.sendall(message.sent(door))
            return _answer(connection)
        return 0, b""

    def end(self) -> None:
        """SIGTERM, and SIGKILL for one that does not heed it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._output.close()


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    received = b""
    with suppress(OSError):
        while data := connection.recv(65_536):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return 0, b""
    if b"transfer-encoding: chunked" in head.lower():
        body = _joined(body)
    return int(words[1]), body


def _joined(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        if not length:
            break
        found += body[:length]
        body = body[length + 2 :]
    return found
