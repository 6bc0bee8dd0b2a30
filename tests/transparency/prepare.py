"""What the suites need: their sdists, unpacked, and an environment with the frameworks, their tests' needs and us."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator

from tests.transparency.suites import FOLDER, PYTHON, ROOT, SUITES, Suite, pinned

_HERE = ROOT / "tests/transparency"
_NEEDS = (
    _HERE / "requirements.txt",
    _HERE / "constraints.txt",
    ROOT / "tests/constraints.txt",
    ROOT / "pyproject.toml",
)
SERVERS = ("gunicorn", "gevent", "waitress", "granian", "uwsgi")
PATIENCE = 300.0  # seconds for an installation or a download


class UnavailableError(Exception):
    """What is needed cannot be had here: no network, or a package that does not build."""


def prepare(suites: Iterable[Suite]) -> None:
    """Have everything in place for these suites. Raises UnavailableError."""
    FOLDER.mkdir(exist_ok=True)
    with _alone():
        for suite in suites:
            if not suite.source.is_dir():
                _fetch(suite)
        _environment()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Runs may be beside each other; one prepares."""
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_servers() -> list[str]:
    """Have the servers of the wire in that environment; what cannot be had, as uWSGI without a compiler."""
    missing = []
    with _alone():
        for name in SERVERS:
            try:
                _pip(str(PYTHON), "install", "-c", str(FOLDER / "constraints.txt"), name)
            except UnavailableError as problem:
                missing.append(f"{name}: {problem}")
    return missing


def _fetch(suite: Suite) -> None:
    sdists = FOLDER / "sdists"
    wanted = ("--no-deps", "--no-binary", suite.name, "--dest", str(sdists), f"{suite.name}=={suite.release}")
    if not list(sdists.glob(f"{suite.name}-{suite.release}.tar.gz")):
        _pip(sys.executable, "download", *wanted)
    with tarfile.open(sdists / f"{suite.name}-{suite.release}.tar.gz") as archive:
        archive.extractall(FOLDER / "src", filter="data")


def _environment() -> None:
    ready = FOLDER / "venv/ready"
    if ready.exists() and all(ready.stat().st_mtime > path.stat().st_mtime for path in _NEEDS):
        return
    _run(sys.executable, "-m", "venv", str(FOLDER / "venv"))
    constraints = FOLDER / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pinned().items()))
    frameworks = [f"{suite.name}=={suite.release}" for suite in SUITES.values()]
    requirements = ("-c", str(constraints), "-r", str(_HERE / "requirements.txt"), *frameworks)
    _pip(str(PYTHON), "install", *requirements, "-e", f"{ROOT}[rules,speed]")
    site = _run(str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    inside = "import os; 'TRANSPARENCY_MODE' in os.environ and __import__('metlo_injection')"
    with open(f"{site}/metlo_transparency.pth", "w") as file:
        file.write(f"{_HERE / 'inside'}\n{inside}\n")
    ready.touch()


def _pip(python: str, command: str, *arguments: str) -> None:
    _run(python, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--retries=1", *arguments)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{' '.join(command[:6])} took more than {PATIENCE:.0f} s") from None
    except subprocess.CalledProcessError as problem:
        raise UnavailableError(f"{' '.join(command[:6])}: {problem.stderr.strip()[-500:]}") from None
    return done.stdout
