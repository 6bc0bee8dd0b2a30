"""Nothing is said to nobody: where no logging is set up, what is wrong is on stderr, once, and without secrets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import flask
import pytest

from metlo_otel.contrib import require
from metlo_otel.core.settings import SettingsError, read_settings
from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector

KEY = "the-key-that-nobody-may-read"
SERVE = """
import flask, json, os, sys
import metlo_otel
{before}
app = flask.Flask("shop")
{set_up}
def serve(times=1):
    for _ in range(times):
        app.test_client().get("/")
{after}
"""
AGENT = 'from metlo_otel.flask import MetloFlask\nagent = MetloFlask(app, **json.loads(os.environ["OPTIONS"])).agent'
ROUNDS = "for _ in range(3):\n    serve()\n    agent.flush(2.0)\nagent.shutdown(0.2)"


def said(before: str = "", set_up: str = AGENT, after: str = ROUNDS, **options: Any) -> list[str]:
    """The lines on stderr of a program with an app that has set up no logging."""
    program = SERVE.format(before=before, set_up=set_up, after=after)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "OTEL_"))}
    known |= {"OPTIONS": json.dumps({"API_KEY": KEY, "CONFIG_CACHE": "off", **options})}
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, env=known, capture_output=True, text=True, timeout=60, check=False)
    assert KEY not in ended.stdout + ended.stderr
    return ended.stderr.splitlines()


def nobody() -> str:
    """The URL of a collector that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def only(lines: list[str], *words: str) -> str:
    """The one line that has all of the words."""
    found = [line for line in lines if all(word in line for word in words)]
    assert len(found) == 1, (words, lines)
    return found[0]


def test_a_wrong_key() -> None:
    """Who has the wrong key reads so, once of the traces and once of the configuration, and what becomes of them."""
    with MemoryCollector() as collector:
        lines = said(METLO_HOST=collector.url)
    only(lines, "takes no traces", "401", "API_KEY", "dropped")
    only(lines, "agent-config could not be fetched", "401", "API_KEY")
    assert len(lines) == 2


def test_a_collector_that_is_not_there() -> None:
    """Who has no collector reads where it was looked for, that this is tried again, and at the end what was lost."""
    host = nobody()
    lines = said(METLO_HOST=host)
    only(lines, f"the collector at {host} takes no traces", "no connection", "tried again")
    only(lines, "agent-config could not be fetched", "no connection")
    only(lines, "3 exchanges were dropped", "not taken by the collector")
    assert len(lines) == 3


def test_a_rule_that_is_left_out() -> None:
    """A rule of the collector's that cannot be understood is named with what is wrong; the others are in force."""
    rules = [{"uuid": "7", "ruleType": "nonsense"}]
    with MemoryCollector({"wafConfig": rules}, api_key=KEY) as collector:
        lines = said(METLO_HOST=collector.url)
    only(lines, "wafConfig[0]", "the rule is skipped", "nonsense")
    assert len(lines) == 1


def test_a_rules_file_that_is_broken_later(tmp_path: Path) -> None:
    """While the app runs a wrong rule of the file is left out, and said."""
    file = tmp_path / "rules.json"
    file.write_text("[]")
    wrong = json.dumps([{"name": "a", "block": True, "path": "nowhere"}])
    after = f"serve()\nopen({str(file)!r}, 'w').write({wrong!r})\n" + ROUNDS
    with MemoryCollector(api_key=KEY) as collector:
        lines = said(METLO_HOST=collector.url, RULES=str(file), after=after)
    only(lines, "begins with / or *", "nowhere")
    only(lines, "no rule in it is right")


def test_an_app_with_logging_of_its_own_has_it_there() -> None:
    """Where the app has set logging up, its handlers alone say it."""
    before = "import logging\nlogging.basicConfig(stream=sys.stdout)"
    with MemoryCollector() as collector:
        assert said(before=before, METLO_HOST=collector.url) == []


WITHOUT = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r} or name.startswith({module!r} + "."):
            raise ModuleNotFoundError("No module named " + repr({module!r}), name={module!r})
sys.meta_path.insert(0, Missing())
os.environ.update(METLO_HOST="http://127.0.0.1:9", METLO_API_KEY={key!r})
from metlo_otel.auto import pre_instrument
pre_instrument()
"""


@pytest.mark.parametrize("module", ["wrapt", "metlo_otel.core.settings", "metlo_otel.zerocode.flask", "orjson"])
def test_zero_code_that_cannot_start(module: str) -> None:
    """The module that is missing is named, and that nothing is captured or blocked; the app runs."""
    before = "sys.modules.pop('flask', None)\n" + WITHOUT.format(module=module, key=KEY) + "import flask, flask.app"
    lines = said(before=before, set_up="", after="serve(3)\nprint('served', file=sys.stderr)")
    only(lines, "zero code", "cannot start", "nothing is captured or blocked", f"No module named '{module}'")
    assert lines[-1] == "served"
    assert len(lines) == 2


def test_zero_code_with_wrong_settings() -> None:
    """Settings that only turn out to be wrong when the app is served are told in full; the app runs."""
    before = f'os.environ.update(METLO_HOST="http://127.0.0.1:9", METLO_API_KEY={KEY!r}, METLO_MODE="sideways")\n'
    before += "from metlo_otel.auto import pre_instrument\npre_instrument()"
    lines = said(before=before, set_up="", after="serve(3)\nprint('served', file=sys.stderr)")
    only(lines, "cannot start", "nothing is captured or blocked")
    only(lines, "METLO_MODE", "'sideways'", "monitor")
    assert lines[-1] == "served"


WRONG_RULES: dict[str, Any] = {
    "a list": [{"name": "fine", "block": True, "path": "/x"}, {"block": True, "path": "nowhere"}, 5],
    "a file": None,
}


@pytest.mark.parametrize("form", WRONG_RULES)
def test_a_wrong_rule_at_the_start_stops_it(tmp_path: Path, form: str) -> None:
    """A rule of RULES that is wrong ends the start as any wrong setting does: all mistakes, in one message."""
    given = WRONG_RULES["a list"]
    if form == "a file":
        given = tmp_path / "rules.json"
        given.write_text(json.dumps(WRONG_RULES["a list"]))
    with pytest.raises(SettingsError) as caught:
        MetloFlask(flask.Flask("shop"), "http://127.0.0.1:9", KEY, RULES=given, CONFIG_CACHE="off")
    assert [problem.name for problem in caught.value.problems] == ["RULES", "RULES"]
    assert "begins with / or *, like '/nowhere', not 'nowhere'" in str(caught.value)
    assert "a rule is an object with names and values, not 5" in str(caught.value)


def test_redis_without_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RATE_LIMIT_STORAGE that needs an extra stops the start with its name, not with the password in the URL."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    url = "redis://:pass-of-redis@cache:6379/0"
    with pytest.raises(SettingsError, match=r"RATE_LIMIT_STORAGE.*pip install 'metlo-otel\[redis\]'") as caught:
        read_settings({"METLO_HOST": "http://127.0.0.1:9", "API_KEY": KEY, "RATE_LIMIT_STORAGE": url}, environ={})
    assert "pass-of-redis" not in str(caught.value)


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_tracing_without_its_instrumentation(monkeypatch: pytest.MonkeyPatch, framework: str) -> None:
    """TRACING="instrument" where OpenTelemetry's instrumentation is not installed says what to install."""
    given = {"METLO_HOST": "http://127.0.0.1:9", "API_KEY": KEY}
    require(read_settings({**given, "TRACING": "instrument"}, environ={}), framework)
    monkeypatch.setattr("metlo_otel.contrib.find_spec", lambda _name: None)
    require(read_settings(given, environ={}), framework)
    with pytest.raises(SettingsError, match=rf"TRACING: .*pip install 'metlo-otel\[{framework}\]'"):
        require(read_settings({**given, "TRACING": "instrument"}, environ={}), framework)
