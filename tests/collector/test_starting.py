"""How the collector starts: what it refuses, and when it says that it is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from metlo_otel.cli import main
from tests.collector.client import KEY
from tests.dashboard.browser import PASSWORD, Browser

LONG = "k" * 20


def _refused(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> str:
    assert main(["collector", "--host", "0.0.0.0", "--port", "0", "--db", str(path / "x.db"), *more]) == 2
    return capsys.readouterr().err


def test_what_others_can_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short keys are refused there, whichever way they are given, and no password or account at all."""
    for name in ("METLO_KEY", "METLO_READ_KEY", "METLO_DASHBOARD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert "at least 20 characters" in _refused(capsys, tmp_path, "--api-key", "k" * 19, "--password", PASSWORD)
    long = ("--api-key", LONG, "--password", PASSWORD)
    told = _refused(capsys, tmp_path, *long, "--read-key", "r" * 19)
    assert told.startswith("metlo-otel collector: --read-key: --host 0.0.0.0 can be reached by others")
    assert "rrr" not in told
    assert "make an admin with" in _refused(capsys, tmp_path, "--api-key", LONG)
    monkeypatch.setenv("METLO_KEY", "short")
    assert "at least 20 characters" in _refused(capsys, tmp_path, "--password", PASSWORD)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trusted-proxy", "proxy.example"),
        ("--url", "metlo.example"),
        ("--oidc-role", "admin"),
        ("--url", "https://metlo.example/below"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """They are refused at once, and told what would be right."""
    with pytest.raises(SystemExit):
        main(["collector", *arguments])
    assert "expected" in capsys.readouterr().err


def test_it_is_there_when_it_says_so(tmp_path: Path) -> None:
    """An account that was made before is enough for others to reach it; whoever reads the banner is answered."""
    path = str(tmp_path / "x.db")
    made = subprocess.run(
        [sys.executable, "-m", "metlo_otel.cli", "users", "add", "ada", "--role", "admin", "--db", path],
        capture_output=True,
        text=True,
        check=True,
    )
    command = [sys.executable, "-m", "metlo_otel.cli", "collector", "--host", "0.0.0.0", "--port", "0", "--db", path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "METLO_KEY": KEY, "METLO_DASHBOARD_PASSWORD": ""}
    ) as process:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := re.search(r"http://0\.0\.0\.0:(\d+)", line)))
        url = f"http://127.0.0.1:{port}"
        assert requests.get(f"{url}/readyz", timeout=5).status_code == 200
        assert Browser(url).log_in(made.stdout.rpartition(" ")[2].strip(), "ada").status_code == 303
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
