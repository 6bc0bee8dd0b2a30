"""A server ends when it is told to, with a collector that is there, away or hangs; the log says what was dropped."""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import time

import pytest

from metlo_otel.testing import MemoryCollector
from tests.live.server import PATIENCE, PROGRAMS, Server, free_port

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
    "gunicorn-uvicorn": (
        f"gunicorn --bind 127.0.0.1:0 -k uvicorn.workers.UvicornWorker {STARLETTE}()",
        "startup complete",
    ),
    "daphne": ("daphne --bind 127.0.0.1 --port PORT tests.live.made:app", "Listening on"),
    "granian-asgi": ("granian --interface asgi --factory --port PORT tests.live.apps:starlette_shop", "Listening at"),
    "granian-wsgi": ("granian --interface wsgi --factory --port PORT tests.live.apps:flask_shop", "Listening at"),
    "waitress-exiting": ("waitress --listen 127.0.0.1:PORT --call tests.live.apps:exiting_shop", "Serving on"),
    "flask-exiting": ("flask --app tests.live.apps:exiting_shop() run --port PORT", "Running on"),
}
# Servers that leave SIGTERM to the operating system, or end by it once they have closed: no Python runs at the end.
UNAWARE = {
    "flask": ("flask --app tests.live.apps:flask_shop() run --port PORT", "Running on"),
    "waitress": ("waitress --listen 127.0.0.1:PORT --call tests.live.apps:flask_shop", "Serving on"),
    "runserver": ("django runserver 127.0.0.1:PORT", "Quit the server"),
    "runserver-noreload": ("django runserver --noreload 127.0.0.1:PORT", "Quit the server"),
    "uvicorn-django": ("uvicorn --factory --port PORT django.core.asgi:get_asgi_application", "Uvicorn running on"),
    "uwsgi": (
        "--http-socket 127.0.0.1:PORT --module tests.live.apps:flask_shop() --enable-threads --die-on-term",
        "spawned uWSGI",
    ),
}
STATES = ("healthy", "away", "hung")
THREE = ("uvicorn --factory --port 0 tests.live.apps:three_agents", "Uvicorn running on")
LATER = 1.0  # seconds that a server may take longer to end than without the agent
# `make test` has what differs most; METLO_TEST_SERVERS=all has all of them.
ALL = os.environ.get("METLO_TEST_SERVERS") == "all"
TRIED = SERVERS if ALL else ("gunicorn-gthread", "gunicorn-gevent-preload", "uvicorn", "hypercorn", "granian-wsgi")


def end_of(
    served: tuple[str, str], collector: MemoryCollector, how: int = signal.SIGTERM, **environ: str
) -> tuple[str, float]:
    """Serve ten requests, end with that signal; what the server said, and the seconds that the end took."""
    command, ready = served
    port = free_port()
    server = Server(collector, *command.replace("PORT", str(port)).split(), ready=ready, **environ)
    server.port = port if "PORT" in command else 0
    with server:
        for number in range(10):
            assert server.get(f"/users/{number}")[0] == 200
        began = time.monotonic()
        server.process.send_signal(how)
        server.process.wait(PATIENCE)
        took = time.monotonic() - began
        server.end()
    return "".join(server.output), took


@functools.cache
def plain(served: tuple[str, str]) -> float:
    """The seconds that a server takes to end without the agent."""
    with MemoryCollector() as collector:
        return end_of(served, collector, METLO_DISABLED="true")[1]


def lost(said: str) -> int:
    """How many exchanges are dropped by what the log says."""
    found = re.findall(r"(\d+) exchanges? (?:was|were) dropped because not taken by the collector", said)
    return sum(map(int, found))


def end_in(state: str, served: tuple[str, str]) -> tuple[str, float, int]:
    """What a server says at its end with a collector in that state, the seconds, and how many traces arrived."""
    with MemoryCollector() as collector, socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        host = collector.url if state == "healthy" else f"http://127.0.0.1:{silent.getsockname()[1]}"
        if state == "away":
            silent.close()
        said, took = end_of(served, collector, METLO_HOST=host)
        return said, took, len(collector.traces)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", TRIED)
def test_sigterm(name: str, state: str) -> None:
    """All ten arrive, or the log says that ten do not; and a collector that takes none holds nobody up for long."""
    said, took, arrived = end_in(state, SERVERS[name])
    if state == "healthy":
        assert (arrived, lost(said)) == (10, 0), said
    else:
        assert lost(said) == 10, said
    if took > plain(SERVERS[name]) + LATER:  # a machine may be busy once
        took = min(took, end_in(state, SERVERS[name])[1])
    assert took < plain(SERVERS[name]) + LATER, said


def test_three_agents_share_the_time_at_the_end() -> None:
    """Each has something that a hung collector does not take; the server ends no later than with one of them."""
    said, took, _ = end_in("hung", THREE)
    assert lost(said) == 30, said
    if took > plain(THREE) + LATER:
        took = min(took, end_in("hung", THREE)[1])
    assert took < plain(THREE) + LATER, said


@pytest.mark.parametrize("name", ["flask", "gunicorn-gthread", "uvicorn", "waitress"] if ALL else ["flask"])
def test_sigint(name: str) -> None:
    """Ctrl-C ends every server so that what waits is sent."""
    with MemoryCollector() as collector:
        said, _ = end_of(SERVERS.get(name) or UNAWARE[name], collector, signal.SIGINT)
        assert len(collector.traces) == 10, said


def booted(said: str) -> dict[str, str]:
    """The pids of workers that have started."""
    return {pid: pid for pid in re.findall(r"Booting worker with pid: (\d+)", said)}


def test_sighup() -> None:
    """gunicorn's reload sends what the old worker holds, and the new one reports as well."""
    command, ready = SERVERS["gunicorn-gthread"]
    with MemoryCollector() as collector, Server(collector, *command.split(), ready=ready) as server:
        for number in range(5):
            assert server.get(f"/users/{number}")[0] == 200
        server.process.send_signal(signal.SIGHUP)
        server.hear(booted, 2)
        for number in range(5, 10):
            assert server.get(f"/users/{number}")[0] == 200
        server.end()
        assert len(collector.traces) == 10, "".join(server.output)


@pytest.mark.skipif(not ALL, reason="METLO_TEST_SERVERS=all has them")
@pytest.mark.parametrize("name", UNAWARE)
def test_a_sigterm_that_nobody_hears_of(name: str) -> None:
    """The server ends as it does without the agent, and what came half a second earlier has been sent."""
    command, ready = UNAWARE[name]
    port, program = free_port(), name if name == "uwsgi" else ""
    if program and not (PROGRAMS / program).exists():
        pytest.skip("uWSGI is not installed: it needs a compiler")
    environ = {"DJANGO_SETTINGS_MODULE": "tests.live.django_settings"} if "django" in name + command else {}
    with MemoryCollector() as collector:
        arguments = command.replace("PORT", str(port)).split()
        server = Server(collector, *arguments, ready=ready, program=program, **environ)
        server.port = port
        with server:
            assert server.get("/users/7")[0] == 200
            assert len(collector.wait(1)) == 1  # the worker has started
            time.sleep(1.1)  # a quiet second
            assert [server.get("/users/7")[0] for _ in range(5)] == [200] * 5
            time.sleep(0.5)  # the promise's own time
            began = time.monotonic()
            server.end()
            assert time.monotonic() - began < LATER
        assert len(collector.traces) == 6
