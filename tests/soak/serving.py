"""The servers under load, each in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.live.server import ROOT, free_port

COMMANDS = {
    "gunicorn gthread, Flask": (
        "gunicorn --workers=1 --threads=4 -k gthread --log-level=warning --no-control-socket"
        " --bind 127.0.0.1:{port} tests.soak.apps:flask_app()"
    ),
    "uvicorn, FastAPI": (
        "uvicorn --host 127.0.0.1 --port {port} --log-level warning --factory tests.soak.apps:fastapi_app"
    ),
}
_START = 30.0  # seconds that a server may take to start
_END = 20.0  # seconds after which it is killed


class Serving:
    """A server; `port` is where it listens."""

    def __init__(self, name: str, collector_port: int, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._log = folder / f"{name.split()[0]}.log"
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("METLO_", "PYTEST_"))}
        environ |= {"METLO_HOST": f"http://127.0.0.1:{collector_port}", "METLO_API_KEY": "key"}
        environ |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder)}
        command = [sys.executable, "-m", *COMMANDS[name].replace("{port}", str(self.port)).split()]
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it listens. Raises TimeoutError with what it said."""
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} did not start:\n{self._log.read_text(errors='replace')}")

    def memory(self) -> float:
        """Resident memory of the server and its workers, in MB."""
        found = subprocess.run(
            ["ps", "-o", "rss=", "-g", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        return sum(int(line) for line in found.stdout.split()) / 1024

    def end(self) -> float:
        """End it by SIGTERM, then all of its group; how long that took, in seconds."""
        began = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
        took = time.monotonic() - began
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return took
