"""What the command says of itself: each help ends with examples that hold, and the shell completes all of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from metlo_otel.cli import main, make_parser
from metlo_otel.cli.examples import EXAMPLES, walk
from tests.collector.client import make_trace

COMMANDS = dict(walk(make_parser()))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of each command ends with examples of it, and the parser takes each of them."""
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    told = capsys.readouterr().out.partition("examples:")[2]
    assert EXAMPLES[name]
    for line, what in EXAMPLES[name]:
        assert line in told
        assert what in told
        arguments = shlex.split(line)
        assert arguments[: 1 + len(name.split())] == ["metlo-otel", *name.split()]
        make_parser().parse_args(arguments[1:])


# Commands that change nothing, whose examples are run; the others' are parsed.
READING = (
    "endpoints",
    "traces",
    "attacks",
    "rules list",
    "openapi",
    "export",
    "users list",
    "users sessions",
    "db check",
)
RUN = [line for name in READING for line, _ in EXAMPLES[name] if "--follow" not in line]


@pytest.mark.parametrize("line", RUN)
def test_examples_that_read_do_so(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory with a collector's database, as a reader has it, they answer."""
    pytest.importorskip("sqlalchemy", reason="the extra collector is not installed")
    from metlo_otel.collector.store import Store
    from metlo_otel.collector.trace import read_trace

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METLO_DB", raising=False)
    found = {"attackDetections": {"reqQuery.q": ["SQLI"]}, "sensitiveDataDetected": {"resBody.email": ["Email"]}}
    store = Store("metlo.db", duties=False)
    store.add([read_trace(make_trace(processedTraceData=found), 2)]).result()
    store.close()
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\ninfo: {title: shop, version: '1'}\npaths: {}\n")
    assert main(shlex.split(line)[1:]) == (1 if "--diff" in line else 0)


def test_there_is_no_example_of_nothing() -> None:
    """A command that is gone takes its examples along."""
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("metlo-otel rul", "rules"),
        ("metlo-otel rules w", "watch"),
        ("metlo-otel rules watch o", "on"),
        ("metlo-otel traces --fol", "--follow"),
    ],
)
def test_the_shell_completes(typed: str, wanted: str, tmp_path: Path) -> None:
    """Asked as argcomplete's function in the shell asks, the command answers what could come, and no more."""
    pytest.importorskip("argcomplete", reason="the extra completion is not installed")
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }
    subprocess.run(
        [sys.executable, "-m", "metlo_otel.cli"], env={**os.environ, **asked}, cwd=tmp_path, timeout=60, check=True
    )
    assert wanted in answer.read_text().replace("\n", " ").split()
