"""The `metlo-otel` command, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from metlo_otel import __version__
from metlo_otel.cli import main

COMMAND = [sys.executable, "-m", "metlo_otel.cli"]


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[tuple[str, list[str], subprocess.Popen[str]]]:
    """The command's URL, its first lines and its process, which is ended."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]
        found = re.search(r"http://\S+:\d+", lines[1])
        assert found, (lines, process.stderr and process.poll() is not None and process.stderr.read())
        yield found[0], lines, process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _verify(url: str, key: str) -> int:
    return requests.get(url + "/api/v1/verify", headers={"Authorization": key}, timeout=10).status_code


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_made_key_lasts(tmp_path: Path, end: signal.Signals) -> None:
    """Without a key one is made and printed; it is valid after a restart too; asked to end, it ends with 0."""
    options = ("collector", "--port", "0", "--db", str(tmp_path / "x.db"))
    with running(*options, METLO_KEY="") as (url, lines, process):
        key = lines[0].rpartition(" ")[2].strip()
        assert _verify(url, key) == 200
        process.send_signal(end)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    with running(*options, METLO_KEY="") as (url, lines, _):
        assert key not in lines[0]
        assert key[:8] in lines[0]
        assert _verify(url, key) == 200


def test_a_given_key_and_full_capture(tmp_path: Path) -> None:
    """METLO_KEY gives the key as --api-key does, and --full-capture is what agents are told."""
    with running("collector", "--port", "0", "--db", str(tmp_path / "x.db"), "--full-capture", METLO_KEY="mine") as (
        url,
        _,
        _p,
    ):
        config = requests.get(url + "/api/v1/agent-config", headers={"Authorization": "mine"}, timeout=10).json()
    assert config["globalFullTraceCapture"] is True


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "--api-key"),
        (["--host", "shop.example"], "--api-key"),
        (["--api-key", "two\nlines"], "printable"),
        (["--api-key", ""], "printable"),
        (["--db", "/no/such/directory/x.db"], "/no/such/directory/x.db"),
    ],
)
def test_a_wrong_start(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be started is said in one line, and the exit code is 2."""
    monkeypatch.delenv("METLO_KEY", raising=False)
    assert main(["collector", "--port", "0", *arguments]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the address, and no database is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["collector", "--port", str(port), "--db", str(tmp_path / "x.db"), "--api-key", "k"]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["nonsense"], 2), (["collector", "--port", "99999"], 2)])
def test_wrong_arguments(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments show the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    assert "usage: metlo-otel" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version tells it."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"metlo-otel {__version__}\n"


@pytest.mark.parametrize(
    ("missing", "command", "extra"), [("starlette", "collector", "collector"), ("sqlalchemy", "collector", "collector"),
                                      ("rich", "demo", "collector"), ("flask", "demo", "demo")]
)  # fmt: skip
def test_a_missing_extra(missing: str, command: str, extra: str) -> None:
    """A dependency that is not installed is explained by the extra that brings it."""
    hide: Any = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == {missing!r}: raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from metlo_otel.cli import main
sys.exit(main([{command!r}]))
"""
    ended = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert (
        ended.stderr
        == f"metlo-otel {command}: needs {missing}, which is not installed: pip install 'metlo-otel[{extra}]'\n"
    )


def test_the_command_alone_loads_nothing_heavy() -> None:
    """Help is there at once: neither a web server nor a database library is imported for it."""
    heavy = "{'starlette', 'sqlalchemy', 'flask', 'rich'}"
    check = f"import sys, metlo_otel.cli; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60, check=False).returncode == 0


def test_check_in_an_environment_with_the_agent_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an app runs there is no rich, which the collector brings: the answer is plain text, and the same."""
    monkeypatch.setattr("metlo_otel.cli.tables.find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setenv("METLO_HOST", "nonsense")
    assert main(["check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["What", "Found"]
    assert any(line.startswith("wrong") and "METLO_HOST" in line for line in lines)


def test_check_of_a_variable_that_is_nearly_a_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that the agent passes over, where another one was meant, is told of; also beside a wrong setting."""
    monkeypatch.setenv("METLO_MODEE", "monitor")
    for host in ("", "nonsense"):
        monkeypatch.setenv("METLO_HOST", host)
        monkeypatch.setenv("METLO_DISABLED", "false" if host else "true")
        assert main(["check", "--json"]) == (1 if host else 0)
        found = {each["what"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
        assert found["variables"]["state"] == "note"
        assert "METLO_MODEE is no setting and is not heeded; did you mean METLO_MODE?" in found["variables"]["detail"]
    assert found["setting METLO_HOST"]["state"] == "wrong"


def test_rules_in_yaml_without_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said in one line, with how to get it."""
    (tmp_path / "rules.yml").write_text("- block: true\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["rules", "check", str(tmp_path / "rules.yml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "metlo-otel[rules]" in line


def test_check_where_findings_go_by_otlp_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Metlo is asked for then; the receiver is named."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")
    for name in ("METLO_HOST", "METLO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METLO_EXPORT", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.example:4318")
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    assert "http://otel.example:4318" in told
    assert "backend" not in told
