"""Python 3.12 and later warn of a fork while there are threads: never because of the agent's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.export.conftest import KEY
from tests.export.loopback import Metlo

ROOT = Path(__file__).parents[2]
FORKS = """
    import multiprocessing, os, sys, threading
    import flask
    from metlo_otel.flask import MetloFlask

    app = flask.Flask("shop")
    agent = MetloFlask(app).agent
    app.add_url_rule("/", view_func=lambda: "shop")
    serve = lambda: app.test_client().get("/")
    {before}

    def fork(how):
        pid = how()
        pid = pid[0] if isinstance(pid, tuple) else pid
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    for _ in range(4):
        for how in (os.fork, os.forkpty):
            serve()  # which starts the worker
            fork(how)
        serve()
        child = multiprocessing.get_context("fork").Process(target=serve)
        child.start()
        child.join()
        assert child.exitcode == 0
    {after}
"""
SENT = "assert agent.flush(10); assert agent.stats().sent == 12, agent.stats(); agent.shutdown()"


def forked(metlo: Metlo, before: str = "", after: str = SENT) -> str:
    """What a program says that forks again and again, with every warning."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "OTEL_", "PYTHON"))}
    known |= {"METLO_HOST": metlo.url, "METLO_API_KEY": KEY, "METLO_CONFIG_CACHE": "off", "PYTHONPATH": str(ROOT)}
    script = textwrap.dedent(FORKS).format(before=before, after=after)
    command = [sys.executable, "-W", "always::DeprecationWarning", "-c", script]
    done = subprocess.run(command, env=known, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_no_thread_of_ours_is_there_at_a_fork(metlo: Metlo) -> None:
    """However the app forks, between any two requests; parent and children send what they served."""
    assert "fork" not in forked(metlo)
    assert len(metlo.traces()) == 12 + 4


def test_nor_with_a_collector_that_is_away(metlo: Metlo) -> None:
    """While the worker waits for the collector's return it leaves for a fork all the same."""
    metlo.close()
    assert "fork" not in forked(metlo, after="agent.shutdown(0)")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns since 3.12")
def test_a_thread_of_the_apps_own_is_warned_of(metlo: Metlo) -> None:
    """So that the tests above can fail: Python does warn here."""
    waiting = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert "use of fork() may lead to deadlocks" in forked(metlo, before=waiting)
