"""A process that was forked in the middle of another thread's search has sets of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# An engine as RE2 is: it holds a lock of its own while it searches, and lets other threads run meanwhile.
ENGINE = """
    import os, signal, threading
    from types import SimpleNamespace
    from metlo_otel.core.re2_sets import Re2Set

    held, go_on, made = threading.Event(), threading.Event(), []

    class Set:
        def __init__(self):
            self._lock, self._patterns = threading.Lock(), []
            made.append(self)
        def Add(self, pattern):
            self._patterns.append(pattern)
        def Compile(self):
            pass
        def Match(self, text):
            with self._lock:
                if text == "slow":
                    held.set()
                    go_on.wait()
                return [index for index, part in enumerate(self._patterns) if part in text] or None

    engine = SimpleNamespace(Options=SimpleNamespace, Set=SimpleNamespace(SearchSet=lambda options: Set()))
    found = Re2Set(engine, ["a", "b"])
    assert (found.match("b"), found.match("c")) == ([1], None)
    {before}
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if (found.match("b"), found.match("c"), len(made)) == ([1], None, {sets}) else 1)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    assert (found.match("b"), len(made)) == ([1], 1)
"""
SEARCHING = "threading.Thread(target=found.match, args=('slow',), daemon=True).start(); held.wait()"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(("before", "sets"), [(SEARCHING, 2), ("", 1)], ids=["searching", "alone"])
def test_a_fork_in_the_middle_of_a_search(before: str, sets: int) -> None:
    """The child does not wait for a lock that nobody holds there; where there was no other thread, nothing is done."""
    script = textwrap.dedent(ENGINE).format(before=before, sets=sets)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
