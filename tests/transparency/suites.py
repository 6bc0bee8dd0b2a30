"""Which test-suites there are, how each is run, and in which positions the agent is put."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".transparency"  # what is downloaded, unpacked, installed and found
PYTHON = FOLDER / "venv/bin/python"

MODES = ("facade", "active")
ASGI = ("zerocode", "around", "first", "middle", "last", "client")

_PYTEST = (
    "-m",
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "metlo_outcomes",
    "--timeout=20",
    "--timeout-method=signal",
)
_DJANGO = (
    "asgi builtin_server cache conditional_processing csrf_tests file_uploads handlers middleware"
    " middleware_exceptions requests_tests responses servers sessions_tests signed_cookies_tests test_client"
    " test_client_regress view_tests wsgi"
).split()


@dataclass(frozen=True)
class Suite:
    """A framework's tests: `command` for the interpreter, and `tests`, all there are, run in `folder` of the sdist."""

    name: str
    positions: tuple[str, ...]
    command: tuple[str, ...] = _PYTEST
    tests: tuple[str, ...] = ("tests",)
    folder: str = "."
    sample: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """The pinned version."""
        return pinned()[self.name]

    @property
    def source(self) -> Path:
        """Where its sdist is unpacked."""
        return FOLDER / "src" / f"{self.name}-{self.release}"


SUITES = {
    suite.name: suite
    for suite in (
        Suite("starlette", ASGI, sample=("tests/test_formparsers.py", "tests/test_requests.py")),
        Suite(
            "flask",
            ("zerocode", "extension", "client"),
            sample=("tests/test_basic.py", "tests/test_reqctx.py", "tests/test_testing.py"),
        ),
        Suite(
            "django",
            ("zerocode", "first", "middle", "last"),
            ("-m", "metlo_outcomes", "runtests.py", "--parallel=1", "--noinput"),
            tuple(_DJANGO),
            "tests",
            ("file_uploads", "requests_tests", "asgi"),
        ),
        Suite("djangorestframework", ("zerocode", "first", "last"), sample=("tests/test_testing.py",)),
        # The reloader's tests wait for changes of files, which some machines never tell of; no app is served otherwise.
        Suite(
            "werkzeug",
            ("client",),
            (*_PYTEST, "--deselect", "tests/test_serving.py::test_reloader_sys_path"),
            sample=("tests/test_formparser.py", "tests/test_wsgi.py"),
        ),
        Suite("fastapi", ASGI, sample=("tests/test_request_body_limits.py",)),
    )
}


@functools.cache
def pinned() -> dict[str, str]:
    """The versions that this project's tests use, and those that only these suites need, by name in lower case."""
    lines = (ROOT / "tests/constraints.txt").read_text() + (ROOT / "tests/transparency/constraints.txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)$", lines, re.MULTILINE)
    return {name.lower(): version for name, version in found}
