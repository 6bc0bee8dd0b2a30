"""The examples run as their first line says, and report what they serve."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metlo_otel.testing import MemoryCollector

ROOT = Path(__file__).parent.parent
EXAMPLES = ("flask_app.py", "fastapi_app.py", "django/manage.py")
PORT_OPTION = {"flask": "--port", "uvicorn": "--port"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(example: str, port: int) -> list[str]:
    """The run line of an example, with its port set and the programs taken from this environment."""
    line = (ROOT / "examples" / example).read_text().splitlines()[0]
    words = [word for word in shlex.split(line.removeprefix("# Run:")) if not re.match(r"METLO_\w+=", word)]
    module = [sys.executable] if words[0] == "python" else [sys.executable, "-m", words[0]]
    return [*module, *words[1:], *([str(port)] if words[0] == "python" else [PORT_OPTION[words[0]], str(port)])]


@contextmanager
def _running(example: str, port: int, collector: MemoryCollector) -> Iterator[None]:
    environ = {**os.environ, "METLO_HOST": collector.url, "METLO_API_KEY": collector.api_key, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        _command(example, port), cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(20)


def _get(url: str, seconds: float = 30.0) -> int:
    """The status of `url`, as soon as somebody answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"X-User": "alice"}), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.live
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_answers_and_reports(example: str) -> None:
    """An example started by its own run line serves requests, and the collector hears of them and of the user."""
    port = _free_port()
    with MemoryCollector() as collector, _running(example, port, collector):
        assert _get(f"http://127.0.0.1:{port}/items/1") == 200
        assert _get(f"http://127.0.0.1:{port}/items/9") == 404
        traces = sorted(collector.wait(2), key=lambda trace: str(trace["request"]["url"]["path"]))
    assert [trace["response"]["status"] for trace in traces] == [200, 404]
    assert traces[0]["request"]["url"]["endpointPath"] == "/items/{number}"


@pytest.mark.parametrize(
    "example", ["flask_app.py", "fastapi_app.py", *("django/" + n for n in ("settings.py", "urls.py"))]
)
def test_examples_are_short(example: str) -> None:
    """An example is read in one go: at most 40 lines."""
    assert len((ROOT / "examples" / example).read_text().splitlines()) <= 40
