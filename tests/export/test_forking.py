"""Python 3.12 and later warn of a fork while there are threads: never because of the agent's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metlo_otel.core.exchange import Exchange
from metlo_otel.export.pipeline import Pipeline
from tests.export.conftest import KEY
from tests.export.loopback import HANG, OK, Metlo

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


def test_nor_with_a_collector_that_hangs(metlo: Metlo) -> None:
    """A question that waits for its answer is ended for the fork, and asked again; so is a batch sent again."""
    metlo.always = metlo.config_answer = HANG
    assert "fork" not in forked(
        metlo, before="agent.flush(0.1); import time; time.sleep(3.2)", after="agent.shutdown(0)"
    )


@pytest.mark.parametrize("what", ["config_answer", "always"])
def test_a_question_ends_for_a_fork(
    pipeline: Callable[..., Pipeline], metlo: Metlo, exchange: Callable[..., Exchange], what: str
) -> None:
    """The configuration's at once; a batch's not while the collector may have taken it, so that none is sent twice."""
    setattr(metlo, what, HANG)
    way = pipeline()
    way.put(exchange())
    way.hurry()
    wait_until(lambda: bool(metlo.gets if what == "config_answer" else metlo.headers))
    began = time.monotonic()
    way.before_fork()
    assert time.monotonic() - began < 3.0
    assert way.idle is (what == "config_answer")
    way.after_fork_in_parent()
    metlo.config_answer, metlo.always = None, OK
    metlo.released.set()
    assert way.flush(10)
    assert len(metlo.traces()) == 1


def test_nothing_new_begins_for_a_fork(
    pipeline: Callable[..., Pipeline], metlo: Metlo, exchange: Callable[..., Exchange]
) -> None:
    """A worker that is at its first question does not go on to import what it will need, whose lock a child would find
    held for ever.
    """
    metlo.config_answer = HANG
    way, imported = pipeline(), []
    way.prepare = lambda: imported.append(1)
    way.put(exchange())
    wait_until(lambda: bool(metlo.gets))
    way.before_fork()
    wait_until(lambda: way.idle)
    assert imported == []
    metlo.config_answer = None
    way.after_fork_in_parent()
    assert way.flush(10)
    assert imported == [1]


def wait_until(holds: Callable[[], bool]) -> None:
    """For ten seconds at most."""
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.005)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns since 3.12")
def test_a_thread_of_the_apps_own_is_warned_of(metlo: Metlo) -> None:
    """So that the tests above can fail: Python does warn here."""
    waiting = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert "use of fork() may lead to deadlocks" in forked(metlo, before=waiting)
