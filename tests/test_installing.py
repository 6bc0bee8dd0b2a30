"""Installing the package changes nothing for who has not set it up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

import flask
import pytest
from packaging.requirements import Requirement

from metlo_otel.core.settings import SettingsError
from metlo_otel.flask import MetloFlask


def brought_in(name: str, extra: str = "") -> set[str]:
    """The distributions that pip installs with this one, itself among them."""
    found: set[str] = set()
    waiting = [(name, extra)]
    while waiting:
        name, extra = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _needed(name, extra)
    return found


def _needed(name: str, extra: str) -> Iterator[tuple[str, str]]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement.name, next(iter(requirement.extras), "")


def instrumentors(names: set[str]) -> set[str]:
    """What of these runs under `opentelemetry-instrument` for being installed alone."""
    points = metadata.entry_points(group="opentelemetry_instrumentor")
    return {point.name for point in points if point.dist is not None and point.dist.name in names}


def test_the_command_traces_no_more_than_before() -> None:
    """No dependency of ours is an instrumentation that `opentelemetry-instrument` finds and runs."""
    ours = brought_in("metlo-otel")
    assert "opentelemetry-instrumentation-asgi" in ours
    assert instrumentors(ours) == set()


@pytest.mark.parametrize("extra", ["flask", "django"])
def test_who_wants_a_framework_traced_names_its_extra(extra: str) -> None:
    """The extra brings the one instrumentation that TRACING="instrument" runs."""
    assert instrumentors(brought_in("metlo-otel", extra)) == {extra}


def test_nothing_is_loaded_where_nothing_is_set() -> None:
    """What the command calls of ours imports nothing without METLO_HOST and METLO_API_KEY."""
    program = (
        "import sys\nfrom metlo_otel.auto import pre_instrument\nbefore = set(sys.modules)\npre_instrument()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ended = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_an_app_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACING="instrument" without the extra ends the app's start."""
    monkeypatch.setattr("metlo_otel.contrib.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'metlo-otel\[flask\]'"):
        MetloFlask(flask.Flask("shop"), "http://127.0.0.1:9", "key", TRACING="instrument")


def test_zero_code_without_a_metlo() -> None:
    """METLO_EXPORT="otlp" alone has the command put the agent in; what it cannot be is said, and the app goes on."""
    program = "import sys\nfrom metlo_otel.auto import pre_instrument\npre_instrument()\n"
    program += "print('metlo_otel.core.settings' in sys.modules)"
    for value, said in (("otlp", ""), ("kafka", "metlo, otlp or metlo,otlp is expected")):
        environment = {name: text for name, text in os.environ.items() if not name.startswith("METLO_")}
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "METLO_EXPORT": value},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ran.stdout.strip() == "True"
        assert said in ran.stderr
