"""The fixture `metlo_collector` is there for the tests of whoever has installed the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_TESTS = """
import sys

import flask

from metlo_otel.flask import MetloFlask


def test_nothing_of_it_runs_before_it_is_wanted():
    assert "metlo_otel.testing" not in sys.modules


def test_users_are_seen(metlo_collector):
    app = flask.Flask("shop")
    app.add_url_rule("/users/<int:id>", view_func=lambda id: {"id": id})
    MetloFlask(app, metlo_collector.url, metlo_collector.api_key)
    app.test_client().get("/users/7")
    (trace,) = metlo_collector.wait(1)
    assert trace["request"]["url"]["path"] == "/users/7"


def test_each_test_has_a_collector_of_its_own(metlo_collector):
    assert metlo_collector.traces == []
"""


def test_the_fixture_is_there_without_a_word(tmp_path: Path) -> None:
    """A test module that only names the fixture gets a collector that hears of the app's requests."""
    (tmp_path / "test_shop.py").write_text(_TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:ddtrace", "-p", "no:randomly", "test_shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
