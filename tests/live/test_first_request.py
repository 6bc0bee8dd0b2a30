"""Rules of the collector are in force for the very first request of a server, and no mode of a server hangs on us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire
from tests.live.server import Server, free_port

pytestmark = pytest.mark.live

FLASK, STARLETTE = "tests.live.apps:flask_shop()", "tests.live.apps:starlette_shop"
GUNICORN = "gunicorn --bind 127.0.0.1:0"
# The server's command, and what it says when it is ready; PORT stands for one that is free.
SERVERS = {
    "gunicorn-sync": (f"{GUNICORN} {FLASK}", "Booting worker"),
    "gunicorn-gthread": (f"{GUNICORN} --threads=4 {FLASK}", "Booting worker"),
    "gunicorn-preload": (f"{GUNICORN} --preload {FLASK}", "Booting worker"),
    "gunicorn-gevent": (f"{GUNICORN} -k gevent {FLASK}", "Booting worker"),
    "gunicorn-gevent-preload": (f"{GUNICORN} -k gevent --preload {FLASK}", "Booting worker"),
    "uvicorn": (f"uvicorn --factory --port 0 {STARLETTE}", "Uvicorn running on"),
    "uvicorn-without-lifespan": (f"uvicorn --factory --lifespan off --port 0 {STARLETTE}", "Uvicorn running on"),
    "uvicorn-workers": (f"uvicorn --factory --workers 2 --port 0 {STARLETTE}", "Application startup complete"),
    "runserver": ("django runserver --noreload 127.0.0.1:PORT", "Quit the server"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_the_first_requests_are_blocked_by_the_collectors_rules(name: str, tmp_path: Path) -> None:
    """Eight first requests at once, to a process that has kept nothing: each is answered, and each is rejected."""
    command, ready = SERVERS[name]
    rules = {"globalFullTraceCapture": True, "wafConfig": [wire(every(condition("path", "eq", "/users/7")))]}
    environ = {
        "METLO_FIRST_RULES_WAIT": "20",  # a busy machine
        "XDG_CACHE_HOME": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.live.django_settings",
    }
    arguments = command.replace("PORT", str(free_port())).split()
    with MemoryCollector(rules) as collector, Server(collector, *arguments, ready=ready, **environ) as server:
        with ThreadPoolExecutor(8) as clients:
            statuses = [status for status, _ in clients.map(server.get, ["/users/7"] * 8)]
        assert statuses == [403] * 8, "".join(server.output)
        assert server.get("/users/8")[0] == 200
        assert len(collector.wait(9)) == 9
        server.end()
    said = "".join(server.output)
    assert "RecursionError" not in said
    assert "metlo_otel" not in said
