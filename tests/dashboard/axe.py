"""axe-core, which finds what keeps people from using a page: fetched from npm when a test first needs it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.1"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_KEPT = Path(__file__).parents[2] / ".venv" / f"axe-core-{VERSION}.js"


def axe_core(directory: Path) -> str:
    """The script, kept beside the environment; the test is skipped where it cannot be fetched."""
    if not _KEPT.exists():
        _fetch(directory)
    return _KEPT.read_text("utf-8")


def _fetch(directory: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm on this machine to fetch axe-core with (apt-get install npm)")
    command = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
    fetched = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    packed = directory / f"axe-core-{VERSION}.tgz"
    if not packed.exists():
        pytest.skip(f"axe-core could not be fetched from the npm registry: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(packed) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        _KEPT.parent.mkdir(exist_ok=True)
        _KEPT.write_bytes(script.read())


def problems(page: Page, script: str) -> list[str]:
    """What is serious or critical on a page, each with its first element."""
    page.evaluate(script)
    found: list[dict[str, Any]] = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in grave]
