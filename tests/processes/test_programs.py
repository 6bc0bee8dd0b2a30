"""Whole programs in which the worker is killed, the interpreter ends around it, or a collector hangs for long."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metlo_otel.testing import MemoryCollector

ROOT = Path(__file__).parents[2]
KEY = "key-of-programs"
APP = """
    import atexit, gc, sys, time
    import flask
    from metlo_otel.flask import MetloFlask

    app = flask.Flask("shop")
    agent = MetloFlask(app).agent
    app.add_url_rule("/", methods=["POST"], view_func=lambda: flask.request.get_data())

    def serve(body=b"x"):
        assert app.test_client().post("/", data=body).data == body
"""


def run(host: str, script: str, before: str = "", **more: str) -> str:
    """What a program says on stderr, which must end well."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "OTEL_", "PYTHON"))}
    known |= {"METLO_HOST": host, "METLO_API_KEY": KEY, "METLO_CONFIG_CACHE": "off", "PYTHONPATH": str(ROOT), **more}
    program = "\n".join(textwrap.dedent(part) for part in (before, APP, script))
    done = subprocess.run([sys.executable, "-c", program], env=known, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_killed_greenlet_is_followed_by_another() -> None:
    """gevent's kill ends the worker: the log says so, what it held is counted, and what comes later is sent."""
    pytest.importorskip("gevent")
    kill = """
        import gevent
        serve()
        assert agent.flush(10)
        workers = [found for found in gc.get_objects() if isinstance(found, gevent.Greenlet) and not found.dead]
        gevent.killall(workers)
        time.sleep(1.1)  # before which a worker that died is not started again
        serve()
        assert agent.flush(10)
        assert agent.stats().sent == 2, agent.stats()
    """
    with MemoryCollector(api_key=KEY) as collector:
        said = run(collector.url, kill, before="from gevent import monkey; monkey.patch_all()")
    assert said.count("the worker ended by GreenletExit") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("before", ["", "from gevent import monkey; monkey.patch_all()"], ids=["threads", "gevent"])
def test_a_request_after_the_end(before: str) -> None:
    """What an app serves while the interpreter ends, after the agent has, is served; nothing is raised."""
    if before:
        pytest.importorskip("gevent")
    late = """
        atexit._clear()
        atexit.register(serve)  # runs last
        from metlo_otel.export.ending import ending
        atexit.register(ending.end)
        serve()
    """
    with MemoryCollector(api_key=KEY) as collector:
        said = run(collector.url, late, before)
        assert len(collector.traces) == 1
    assert said == ""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read where Linux tells it")
def test_memory_with_a_hung_collector() -> None:
    """However many requests come while the collector hangs, memory grows by the queue and a batch."""
    load = """
        def megabytes():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096 / 1e6

        for _ in range(300):
            serve(b"x" * 20_000)
        before = megabytes()
        for _ in range(2500):  # 100 MB of bodies
            serve(b"x" * 20_000)
        stats, grown = agent.stats(), megabytes() - before
        assert grown < 24, grown
        assert stats.sent == 0 and stats.dropped["queue_full"] > 2000, stats
        assert stats.queue_bytes <= 2_000_000, stats
    """
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = run(host, load, METLO_MAX_QUEUE_BYTES="2000000")
    assert "Traceback" not in said
