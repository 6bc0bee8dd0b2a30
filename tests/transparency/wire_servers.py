"""WSGI servers that serve the app of the wire, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.live.server import free_port
from tests.transparency.suites import PYTHON, ROOT

APP = "tests.transparency.wire_app:app"
_START = 20.0  # seconds that a server may take to start


@dataclass(frozen=True)
class Kind:
    """A server: the module that it needs, and how it is started, with {port} in it."""

    name: str
    module: str
    command: tuple[str, ...]


_GUNICORN = (
    "-m",
    "gunicorn",
    "--bind",
    "127.0.0.1:{port}",
    "--workers=1",
    "--log-level=critical",
    "--no-control-socket",
)
_WSGIREF = (
    "from wsgiref.simple_server import make_server; from tests.transparency.wire_app import app;"
    "make_server('127.0.0.1', {port}, app).serve_forever()"
)
_WERKZEUG = (
    "from werkzeug.serving import run_simple; from tests.transparency.wire_app import app;"
    "run_simple('127.0.0.1', {port}, app, threaded=True)"
)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("gunicorn-gthread", "gunicorn", (*_GUNICORN, "-k", "gthread", "--threads=4", APP)),
        Kind("gunicorn-sync", "gunicorn", (*_GUNICORN, "-k", "sync", APP)),
        Kind("gunicorn-gevent", "gevent", (*_GUNICORN, "-k", "gevent", APP)),
        Kind("werkzeug", "werkzeug", ("-c", _WERKZEUG)),
        Kind("waitress", "waitress", ("-m", "waitress", "--listen=127.0.0.1:{port}", APP)),
        Kind("wsgiref", "wsgiref", ("-c", _WSGIREF)),
        Kind(
            "granian", "granian",
            ("-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--no-ws",
             "--http", "1", "--blocking-threads", "4", APP),
        ),
        Kind(
            "uwsgi", "uwsgi",
            ("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", APP, "--threads=4", "--master", "--die-on-term",
             "--need-app", "--disable-logging", "--lazy-apps", "--http-keepalive"),
        ),
    )
}  # fmt: skip


class Served:
    """A server of a kind, with the app in a mode; `port` is where it listens."""

    def __init__(self, kind: Kind, mode: str, cache: Path) -> None:
        self.port = free_port()
        self._log = cache / f"{kind.name}-{mode}.log"
        command = [part.replace("{port}", str(self.port)) for part in kind.command]
        python = interpreter(kind)
        assert python is not None
        program = [str(python.parent / command[0]), *command[1:]] if kind.name == "uwsgi" else [str(python), *command]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "PYTEST_"))}
        environ |= {"WIRE_MODE": mode, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                program, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it listens. Raises TimeoutError with what it said."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.02)
        raise TimeoutError(f"the server did not start:\n{self.said()}")

    def said(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """End it, and all that it has started: the group is its own."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def interpreter(kind: Kind) -> Path | None:
    """A Python that has the server: this one, else the one that `make transparency` has made; None where neither."""
    if importlib.util.find_spec(kind.module) is not None:
        return Path(sys.executable)
    if not PYTHON.exists():
        return None
    found = subprocess.run(
        [PYTHON, "-c", f"import importlib.util, sys; sys.exit(not importlib.util.find_spec('{kind.module}'))"]
    )
    has = found.returncode == 0 or (PYTHON.parent / kind.module).exists()
    return PYTHON if has else None
