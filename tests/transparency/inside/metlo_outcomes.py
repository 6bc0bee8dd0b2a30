"""What became of each test, a line of JSON each in TRANSPARENCY_OUTCOMES: a pytest plugin, and a hook on unittest.

`python -m metlo_outcomes PROGRAM ARGUMENTS` runs a program that has unittest's runner in it.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest.runner
from typing import Any

_PATH = os.environ.get("TRANSPARENCY_OUTCOMES", "")
_LONGEST = 300  # characters of why a test failed


def note(test: str, outcome: str, why: str = "") -> None:
    """Add a line; at once, as a run may be ended."""
    with open(_PATH, "a") as file:
        file.write(json.dumps({"test": test, "outcome": outcome, "why": why[-_LONGEST:]}) + "\n")


def pytest_runtest_logreport(report: Any) -> None:
    """pytest: a test is what its call was; an error where its set-up or its end failed."""
    expected = " as expected" if hasattr(report, "wasxfail") else ""
    if report.when == "call" or report.skipped:
        note(report.nodeid, report.outcome + expected, _why(report) if report.failed else "")
    elif report.failed:
        note(report.nodeid, f"error at {report.when}", _why(report))


def _why(report: Any) -> str:
    return str(report.longreprtext).strip()


def pytest_collectreport(report: Any) -> None:
    """pytest: a module that cannot be imported."""
    if report.failed:
        note(report.nodeid, "not collected", _why(report))


def patch_unittest() -> None:
    """unittest, which Django's runner is made of."""
    kinds = {
        "addSuccess": "passed",
        "addFailure": "failed",
        "addError": "error",
        "addSkip": "skipped",
        "addExpectedFailure": "failed as expected",
        "addUnexpectedSuccess": "passed, unexpected",
    }
    owner: Any = unittest.runner.TextTestResult
    for name, outcome in kinds.items():
        setattr(owner, name, _noting(getattr(owner, name), outcome))
    sub = owner.addSubTest

    def add_sub_test(self: Any, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            note(test.id(), "failed", str(err[1]))
        sub(self, test, subtest, err)

    owner.addSubTest = add_sub_test


def _noting(original: Any, outcome: str) -> Any:
    def add(self: Any, test: Any, *about: Any) -> Any:
        why = str(about[0][1]) if about and isinstance(about[0], tuple) else ""
        note(test.id(), outcome, why)
        return original(self, test, *about)

    return add


if __name__ == "__main__":
    patch_unittest()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
