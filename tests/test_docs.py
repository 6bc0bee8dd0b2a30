"""The README holds: its Python runs and reports, its settings are all there, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.core.settings import KNOWN_NAMES
from metlo_otel.testing import MemoryCollector

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# What a reader would do next with each block: serve one request to /users/7 and let the agent send it.
PROBES = {
    'MetloFlask(app, "http': """
assert app.test_client().get("/users/7").json == {"id": 7}
app.extensions["metlo_otel"].agent.flush(10)
""",
    "from fastapi import": """
import asyncio
sent = []
scope = {"type": "http", "method": "GET", "path": "/users/7", "raw_path": b"/users/7", "query_string": b"",
         "headers": [(b"host", b"shop.example")], "root_path": "", "scheme": "http", "http_version": "1.1"}
async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}
async def send(message):
    sent.append(message)
asyncio.run(app(scope, receive, send))
assert sent[1]["body"] == b'{"id":7}', sent
""",
    "MIDDLEWARE =": """
import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path
settings.configure(
    ROOT_URLCONF=(path("users/<int:id>", lambda request, id: JsonResponse({"id": id})),),
    ALLOWED_HOSTS=["*"], MIDDLEWARE=MIDDLEWARE, METLO_CONFIG=METLO_CONFIG,
)
django.setup()
from django.test import Client
assert Client().get("/users/7").json() == {"id": 7}
""",
    "from metlo_otel.hooks": """
assert app.test_client().get("/users/7").json == {"id": 7}
""",
    "from metlo_otel.exporter": """
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
app = Flask(__name__)
app.add_url_rule("/users/<int:id>", view_func=lambda id: {"id": id})
FlaskInstrumentor().instrument_app(app)
assert app.test_client().get("/users/7").json == {"id": 7}
provider.shutdown()
""",
    "metlo_otel.instrument(": """
from flask import Flask
app = Flask(__name__)
app.add_url_rule("/users/<int:id>", view_func=lambda id: {"id": id})
assert app.test_client().get("/users/7").json == {"id": 7}
""",
    "from metlo_otel.wsgi": """
from werkzeug.test import Client
assert Client(wsgi_app).get("/users/7").text == "hello"
wsgi_app.agent.flush(10)
""",
}


def _run(code: str, **environ: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sign", PROBES)
def test_readme_blocks_report_a_request(sign: str) -> None:
    """Each framework's lines in the README, run as they stand but for the collector's address, report a request."""
    (block,) = [block for block in BLOCKS if sign in block]
    with MemoryCollector() as collector:
        code = block.replace("http://127.0.0.1:8081", collector.url).replace("<YOUR_API_KEY>", collector.api_key)
        _run(code + PROBES[sign])
        (trace,) = collector.wait(1)
    assert trace["request"]["url"]["path"] == "/users/7"
    assert trace["response"]["status"] == 200


def test_every_other_python_block_runs() -> None:
    """No Python block of the README is there that does not run."""
    for block in BLOCKS:
        if not any(sign in block for sign in PROBES):
            _run(block)


def test_every_setting_is_in_the_readme() -> None:
    """Who reads the table of settings has read all of them, and none that does not exist."""
    rows = set(re.findall(r"^\| `([A-Z0-9_]+)`", README, re.MULTILINE))
    assert rows == set(KNOWN_NAMES)


def test_targets_that_workflows_and_contributors_use_exist() -> None:
    """A target that is renamed would else be missed by CI's weekly run, and by who follows the text."""
    yaml = pytest.importorskip("yaml", reason="pyyaml (extra `rules`) is not installed")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflows = [yaml.safe_load(file.read_text()) for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    runs = [
        step["run"]
        for flow in workflows
        for job in flow["jobs"].values()
        for step in job.get("steps", ())
        if "run" in step
    ]
    suites = [suite for flow in workflows for job in flow["jobs"].values() for suite in _suites(job)]
    written = "\n".join([*runs, (ROOT / "CONTRIBUTING.md").read_text()])
    used = set(re.findall(r"(?:^|`|\$ )make ([a-z]+)", written, re.MULTILINE)) | set(suites)
    assert {"test", "system", "dist", "soak", "transparency"} <= used <= targets
    assert ".ci/run" in runs


def _suites(job: dict[str, Any]) -> list[str]:
    return list(job.get("strategy", {}).get("matrix", {}).get("suite", ()))


def test_commands_of_the_readme_exist() -> None:
    """`make …` in the README is a target of the Makefile, and CI runs what the README tells developers to run."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\$ make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "make test" in (ROOT / ".ci" / "run").read_text()
