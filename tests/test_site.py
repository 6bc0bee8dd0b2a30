"""The documentation as a site: it builds without a warning, and has every name that the code gives to metrics."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metlo_otel.export.metrics import Meters
from tests.pages import PAGES, ROOT


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """`make docs` warns of nothing: every page is in the menu, every link and anchor within leads somewhere."""
    pytest.importorskip("mkdocs", reason="mkdocs-material (extra `docs`) is not installed")
    pytest.importorskip("sqlalchemy", reason="the extra collector is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for page in PAGES:
        if page.startswith("docs/"):
            name = Path(page).relative_to("docs").with_suffix("")
            assert (tmp_path / "site" / (name.parent if name.name == "index" else name) / "index.html").exists(), page
    assert _fetched(tmp_path / "site") == set()


def _fetched(site: Path) -> set[str]:
    """What a browser would fetch from elsewhere for a page."""
    found: set[str] = set()
    for file in site.rglob("*.html"):
        found |= set(re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"[^>]*>', file.read_text()))
    return {url for url in found if not url.startswith("https://github.com/metlo-labs/metlo-otel")}


class _Meter:
    """Notes what instruments are made."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def __getattr__(self, _create: str) -> Callable[..., None]:
        return lambda name, *_rest, **_more: self.made.add(name)


def test_every_metric_of_the_agent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has all instruments, and none that does not exist."""
    meter = _Meter()
    monkeypatch.setattr("opentelemetry.metrics.get_meter", lambda *_: meter)
    Meters()._register()
    agents = PAGES["docs/reference/metrics.md"].partition("## Of the collector")[0]
    assert set(re.findall(r"^\| `([\w.]+)`", agents, re.MULTILINE)) == meter.made


def test_every_metric_of_the_collector_is_told(tmp_path: Path) -> None:
    """The page has all that `/metrics` says of the collector itself, and none that does not exist."""
    pytest.importorskip("prometheus_client", reason="the extra collector is not installed")
    from metlo_otel.collector.metrics import Metrics
    from metlo_otel.collector.store import Store

    store = Store(str(tmp_path / "x.db"))
    try:
        text = Metrics(store).write("")[0].decode()
    finally:
        store.close()
    made = {name for name in re.findall(r"^# TYPE (metlo_\w+) ", text, re.MULTILINE) if not name.endswith("_created")}
    told = set(re.findall(r"^\| `(metlo_\w+)`", PAGES["docs/reference/metrics.md"], re.MULTILINE))
    assert told == made
