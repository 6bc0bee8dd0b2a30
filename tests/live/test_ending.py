"""A server ends when it is told to, with a collector that is there, away or hangs; the log says what was dropped."""

from __future__ import annotations

import re
import socket
import time

import pytest

from metlo_otel.testing import MemoryCollector
from tests.live.server import Server, free_port

pytestmark = pytest.mark.live

FLASK, STARLETTE = "tests.live.apps:flask_shop()", "tests.live.apps:starlette_shop"
# The server's command, and what it says when it is ready; PORT stands for one that is free.
SERVERS = {
    "gunicorn-sync": (f"gunicorn --bind 127.0.0.1:0 {FLASK}", "Booting worker"),
    "gunicorn-gthread": (f"gunicorn --bind 127.0.0.1:0 --threads 4 {FLASK}", "Booting worker"),
    "gunicorn-preload": (f"gunicorn --bind 127.0.0.1:0 --preload {FLASK}", "Booting worker"),
    "gunicorn-gevent": (f"gunicorn --bind 127.0.0.1:0 -k gevent {FLASK}", "Booting worker"),
    "gunicorn-gevent-preload": (f"gunicorn --bind 127.0.0.1:0 -k gevent --preload {FLASK}", "Booting worker"),
    "gunicorn-max-requests": (f"gunicorn --bind 127.0.0.1:0 --max-requests 3 {FLASK}", "Booting worker"),
    "uvicorn": (f"uvicorn --factory --port 0 {STARLETTE}", "Uvicorn running on"),
    "uvicorn-workers": (f"uvicorn --factory --workers 2 --port 0 {STARLETTE}", "Application startup complete"),
    "hypercorn": (f"hypercorn --bind 127.0.0.1:PORT {STARLETTE}()", "Running on"),
}
STATES = ("healthy", "away", "hung")


def end_of(name: str, collector: MemoryCollector, host: str) -> tuple[Server, float]:
    """Serve ten requests, end with SIGTERM; the seconds that this took."""
    command, ready = SERVERS[name]
    arguments = command.replace("PORT", str(free_port())).split()
    with Server(collector, *arguments, ready=ready, METLO_HOST=host) as server:
        for number in range(10):
            assert server.get(f"/users/{number}")[0] == 200
        began = time.monotonic()
        server.end()
        return server, time.monotonic() - began


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", SERVERS)
def test_sigterm(name: str, state: str) -> None:
    """All ten arrive, or the log says that ten do not; and a collector that takes none holds nobody up for long."""
    with MemoryCollector() as collector, socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        silent_host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if state == "away":
            silent.close()
        server, took = end_of(name, collector, collector.url if state == "healthy" else silent_host)
        arrived = len(collector.traces)
    said = "".join(server.output)
    if state == "healthy":
        assert arrived == 10
        assert "dropped" not in said
    else:
        lost = re.findall(r"(\d+) exchanges? (?:was|were) dropped because not taken by the collector", said)
        assert sum(map(int, lost)) == 10, said
    assert took < 4, said  # beside three seconds that a machine this busy may take, less than one
