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
