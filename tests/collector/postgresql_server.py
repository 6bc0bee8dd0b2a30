"""A real PostgreSQL on a loopback port, started by hand in a folder of its own, by a user who is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PASSWORD = "only-for-tests"


def find_binaries() -> Path | None:
    """The folder of initdb and postgres: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


@contextmanager
def postgresql_server(binaries: Path) -> Iterator[str]:
    """The URL of a server, without a database's name; it ends with the block, and all that it kept is removed."""
    user = _user()
    with tempfile.TemporaryDirectory(prefix="metlo-otel-postgresql-", dir=_anybodys()) as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if user:
            shutil.chown(folder, user)
            shutil.chown(folder / "password", user)
        data = folder / "data"
        made = [
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "metlo",
            "-A",
            "scram-sha-256",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*made, f"--pwfile={folder / 'password'}"], user=user, cwd=folder, check=True, capture_output=True
        )
        port = _free_port()
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "log_min_messages": "warning",
        }
        arguments = [f"-c{name}={value}" for name, value in options.items()]
        with subprocess.Popen([binaries / "postgres", "-D", data, *arguments], user=user, cwd=folder) as process:
            try:
                _wait(port, process)
                yield f"postgresql+psycopg://metlo:{PASSWORD}@127.0.0.1:{port}"
            finally:
                process.send_signal(signal.SIGINT)  # ends connections, then the server, in order
                process.wait(30)


def _anybodys() -> str | None:
    """A folder that this user may reach too: the tests' own temporary folder is theirs alone."""
    return "/tmp" if Path("/tmp").is_dir() else None


def _user() -> str | None:
    """Who runs it where we are root, whom PostgreSQL refuses."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("PostgreSQL does not run as root, and there is neither postgres nor nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers; it takes connections when it is ready, and refuses them before."""
    import psycopg

    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"postgres ended with {process.returncode}")
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, user="metlo", password=PASSWORD, dbname="postgres", connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        else:
            return
    raise RuntimeError("postgres took more than 30 seconds to start")
