"""`metlo-otel demo`, run as a user runs it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from metlo_otel.core.categories import ATTACKS as CATEGORIES
from metlo_otel.demo import table
from metlo_otel.demo.ending import Ending
from metlo_otel.demo.payments import make_payments
from metlo_otel.demo.run import _world, run
from metlo_otel.demo.shop import make_shop
from metlo_otel.demo.visitors import ATTACKS
from metlo_otel.testing import MemoryCollector

COMMAND = [sys.executable, "-m", "metlo_otel.cli", "demo"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary directories are made in `tmp_path`; settings of agents in the environment must not matter."""
    return {**os.environ, "TMPDIR": str(tmp_path), "METLO_DISABLED": "true", "COLUMNS": "120"}


def test_once(environment: dict[str, str], tmp_path: Path) -> None:
    """It ends with 0, shows what was captured, and leaves nothing behind."""
    ended = subprocess.run(
        [*COMMAND, "--once"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Endpoints" in ended.stdout
    assert "198.51.100.20" in ended.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_until_it_is_ended(environment: dict[str, str], tmp_path: Path, end: signal.Signals) -> None:
    """However it is ended, the shop's process ends too and the directory is gone."""
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        children = _children_once_there(process.pid)
        os.killpg(process.pid, end) if end == signal.SIGINT else process.send_signal(end)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert not list(tmp_path.iterdir())


def test_nothing_lands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the shop cannot report, the demo says so within its patience and ends with 1."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_broken_shop(tmp_path / "path")), *sys.path]))
    assert run(once=True, patience=0.5) == 1
    said = capsys.readouterr().err
    assert "nothing reached the collector within" in said or "the agent is broken here" in said
    assert [item.name for item in tmp_path.iterdir()] == ["path"]


def _broken_shop(directory: Path) -> Path:
    """A directory that, put on the path, makes the agent fail in the shop's process."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'metlo_otel.flask': raise ImportError('the agent is broken here')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    return directory


def _children_once_there(parent: int) -> list[str]:
    """The process ids of `parent`'s children, as soon as it has some."""
    until = time.monotonic() + 30
    pause = threading.Event()
    while time.monotonic() < until:
        tasks = Path(f"/proc/{parent}/task")
        found = [child for task in tasks.glob("*/children") for child in task.read_text().split()]
        if found:
            return found
        pause.wait(0.05)
    raise TimeoutError("the demo started no process")


def test_a_hostile_path_is_only_text() -> None:
    """Neither a terminal's escape sequences nor rich's markup in a path are obeyed."""
    endpoint = {"method": "GET", "path": "/\x1b[2J[red]x[/red]\r", "calls": 1, "statuses": {"200": 1}, "lastSeen": 0}
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(table.render([endpoint], []))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    assert "/\ufffd[2J[red]x[/red]\ufffd" in shown
    assert "\x1b[2J" not in shown


def test_one_attack_of_each_kind() -> None:
    """What visitors try, made to the two services, is found to be every kind that detection knows."""
    found: set[str] = set()
    with MemoryCollector() as collector:
        apps = make_shop(collector.url, collector.api_key), make_payments(collector.url, collector.api_key)
        for method, path, more in ATTACKS:
            names = {"params": "query_string"}
            sent = {names.get(name, name): value for name, value in more.items()}
            apps[path.startswith("/v1/")].test_client().open(path, method=method, **sent)
        for app in apps:
            app.extensions["metlo_otel"].agent.flush(10)
        for trace in collector.wait(len(ATTACKS)):
            told = trace["processedTraceData"]
            for categories in (told.get("attackCategories") or told["attackDetections"]).values():
                found |= set(categories)
    assert found == set(CATEGORIES)


def test_what_is_there_to_try() -> None:
    """The alerts that the demo promises are there within seconds: an attack, cards for everybody, a broken promise."""
    wanted = {"attack", "unauthenticated_data", "spec_diff"}
    with Ending() as ending, _world(ending, once=False) as watch:
        assert ending.wait(30, lambda: wanted <= {alert["kind"] for alert in watch._list("alerts", 500)})
