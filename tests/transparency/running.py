"""One run of a suite, in one mode and position: how each of its tests ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.transparency.suites import FOLDER, PYTHON, Suite

LONGEST = 1800.0  # seconds that a run may take; what has not ended then is missing from its outcomes


@dataclass(frozen=True)
class Outcome:
    """How a test ended, and why if it did not pass."""

    ended: str
    why: str = ""


@dataclass(frozen=True)
class Run:
    """A suite's run: `mode` and `position` are empty for the plain one."""

    suite: Suite
    mode: str = ""
    position: str = ""
    tests: tuple[str, ...] = ()
    again: int = 0

    @property
    def name(self) -> str:
        """What it is called, in tables and files."""
        parts = [self.suite.name, self.mode or "plain", self.position, f"again{self.again}" if self.again else ""]
        some = hashlib.sha256("\n".join(self.tests).encode()).hexdigest()[:8] if self.tests else ""
        return "-".join(part for part in (*parts, some) if part)

    @property
    def kept(self) -> Path:
        """Where its outcomes are."""
        return FOLDER / "outcomes" / f"{self.name}.jsonl"

    @property
    def done(self) -> Path:
        """This exists once the run has ended; it says how long it took."""
        return self.kept.with_suffix(".done")


def outcomes(run: Run, kept: bool = True) -> dict[str, Outcome]:
    """How the tests of `run` ended, by name; from the last time, if it was done and is `kept`."""
    if not (kept and run.done.exists()):
        _perform(run)
    found: dict[str, Outcome] = {}
    for line in run.kept.read_text().splitlines():
        item = json.loads(line)
        if found.get(item["test"], Outcome("passed")).ended in ("passed", "skipped"):  # the worst of its parts
            found[item["test"]] = Outcome(item["outcome"], item["why"])
    return found


def seconds(run: Run) -> float:
    """How long `run` took."""
    return float(run.done.read_text())


def _perform(run: Run) -> None:
    run.done.unlink(missing_ok=True)
    run.kept.parent.mkdir(exist_ok=True)
    run.kept.write_text("")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, open(run.kept.with_suffix(".log"), "w") as log:
        command = [str(PYTHON), *run.suite.command, *(run.tests or run.suite.tests)]
        folder = run.suite.source / run.suite.folder
        process = subprocess.Popen(
            command, cwd=folder, env=_environ(run, place), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            log.write(f"\nended after {LONGEST:.0f} s\n")
        finally:
            _end(process)
    run.done.write_text(f"{time.monotonic() - began:.1f}")


def _environ(run: Run, place: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "PYTEST_", "OTEL_"))}
    injected = {"TRANSPARENCY_MODE": run.mode, "TRANSPARENCY_POSITION": run.position} if run.mode else {}
    about = {"TRANSPARENCY_OUTCOMES": str(run.kept), "XDG_CACHE_HOME": place, "TMPDIR": place}
    programs = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **injected, **about, "PATH": programs, "PYTHONDONTWRITEBYTECODE": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """The run, and whatever servers its tests have left: the group is its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def some(run: Run, tests: Sequence[str], again: int) -> Run:
    """The same with these tests only, once more."""
    return Run(run.suite, run.mode, run.position, tuple(tests), again)
