"""README and docs/ hold: their Python runs and reports, all settings are told, their commands and links exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.cli import make_parser
from metlo_otel.core.settings import KNOWN_NAMES
from metlo_otel.testing import MemoryCollector
from tests.pages import BLOCKS, PAGES, ROOT, Block, commands_of

SETTINGS = PAGES["docs/reference/settings.md"]
# Those with a title are files of a page that tests/test_walkthroughs.py follows.
PYTHON = [block for block in BLOCKS if block.kind == "python" and not block.file]

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
    "MIDDLEWARE += ": """
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
    "def is_genuine(": """
from metlo_otel.collector.sending import signature
body, secret = b'{"alerts": []}', "a secret of the webhook"
header = signature(secret, 1_796_043_600, body)
assert is_genuine(header, body, secret, now=1_796_043_700)
assert not is_genuine(header, body, secret, now=1_796_044_000)
assert not is_genuine(header, body + b" ", secret, now=1_796_043_700)
assert not is_genuine(header, body, "another secret", now=1_796_043_700)
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


# What is there already where a block is put.
BEFORE = {"MIDDLEWARE += ": 'MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]\n'}
REPORTING = [sign for sign in PROBES if sign != "def is_genuine("]


@pytest.mark.parametrize("sign", REPORTING)
def test_blocks_report_a_request(sign: str) -> None:
    """Each framework's lines, run as they stand but for the collector's address, report a request."""
    (block,) = [block.text for block in PYTHON if sign in block.text]
    with MemoryCollector() as collector:
        code = block.replace("http://127.0.0.1:8081", collector.url).replace("<YOUR_API_KEY>", collector.api_key)
        _run(BEFORE.get(sign, "") + code + PROBES[sign])
        (trace,) = collector.wait(1)
    assert trace["request"]["url"]["path"] == "/users/7"
    assert trace["response"]["status"] == 200


def test_a_webhook_is_checked_as_the_page_says() -> None:
    """The page's function takes what the collector signs, and neither other bytes, secrets nor old requests."""
    pytest.importorskip("sqlalchemy", reason="the extra collector is not installed")
    sign = "def is_genuine("
    (block,) = [block.text for block in PYTHON if sign in block.text]
    _run(block + PROBES[sign])


OTHERS = [block for block in PYTHON if not any(sign in block.text for sign in PROBES)]


@pytest.mark.parametrize("block", OTHERS, ids=lambda block: f"{block.page}-{block.text[:24]!r}")
def test_every_other_python_block_runs(block: Block) -> None:
    """No Python block is there that does not run; tests in it pass."""
    if "\ndef test_" not in block.text:
        _run(block.text)


@pytest.mark.parametrize(
    "block", [block for block in OTHERS if "\ndef test_" in block.text], ids=lambda block: block.page
)
def test_tests_in_pages_pass(block: Block, tmp_path: Path) -> None:
    """What a page shows as a test is one that passes with the plugin, for the app that it names."""
    (tmp_path / "conftest.py").write_text(_APP)
    (tmp_path / "test_page.py").write_text(block.text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


_APP = """
import flask, pytest
@pytest.fixture
def app():
    app = flask.Flask("shop")
    app.add_url_rule("/users/<int:id>", view_func=lambda id: {"id": id})
    return app
"""


def test_every_setting_is_told() -> None:
    """Who reads the table of settings has read all of them, and none that does not exist."""
    rows = set(re.findall(r"^\| `([A-Z0-9_]+)`", SETTINGS, re.MULTILINE))
    assert rows == set(KNOWN_NAMES)


def test_json_and_yaml_can_be_read() -> None:
    """What is shown as JSON or YAML is that."""
    yaml = pytest.importorskip("yaml", reason="pyyaml (extra `rules`) is not installed")
    found = [block for block in BLOCKS if block.kind in ("json", "yaml")]
    assert {block.kind for block in found} == {"json", "yaml"}
    for block in found:
        (json.loads if block.kind == "json" else yaml.safe_load)(block.text)


def test_shell_can_be_read() -> None:
    """What is shown as a script for the shell is one."""
    for block in BLOCKS:
        if block.kind == "sh":
            subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)


COMMANDS = [(block, command) for block in BLOCKS if block.kind == "console" for command, _ in commands_of(block)]


def test_commands_in_pages_exist() -> None:
    """Each `metlo-otel` is one that the parser takes, each `make` a target, each extra one that there is."""
    makefile, project = (ROOT / "Makefile").read_text(), (ROOT / "pyproject.toml").read_text()
    parsed = 0
    for block, command in COMMANDS:
        words = shlex.split(command.removesuffix("&"), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words[0].rpartition("/")[2] == "metlo-otel":
            make_parser().parse_args([word for word in words[1:] if word != "…"])
            parsed += 1
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), (block.page, command)
        for extra in (name for found in re.findall(r"metlo-otel\[([\w,]+)\]", command) for name in found.split(",")):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), (block.page, command)
    assert parsed > 10


def test_the_readme_is_short_and_holds_elsewhere() -> None:
    """It fits on a few screens, and its links and pictures lead somewhere from a package index too."""
    assert PAGES["README.md"].count("\n") <= 150
    assert re.findall(r"\]\((?!https://)[^)]*\)", PAGES["README.md"]) == []


def test_nothing_is_left_to_be_moved() -> None:
    """No page has a place for text that is not there."""
    assert [page for page, text in PAGES.items() if "<!-- moved" in text] == []


def test_what_pages_link_to_in_the_repository_is_there() -> None:
    """A link to a file of the repository, absolute because it is read elsewhere too, leads to one."""
    linked = [
        (page, path)
        for page, text in PAGES.items()
        for path in re.findall(
            r"https://(?:raw\.githubusercontent|github)\.com/metlo-labs/metlo-otel/(?:blob/|tree/)?main/([^)\s#>\"]+)",
            text,
        )
    ]
    assert linked
    assert [each for each in linked if not (ROOT / each[1]).exists()] == []


def test_relative_links_of_files_beside_the_readme() -> None:
    """What README, CONTRIBUTING and SECURITY link to is there, its heading too; `make docs` looks at those of docs/."""
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / name).read_text()):
            file, _, heading = target.partition("#")
            linked = ROOT / (file or name)
            text = linked.read_text() if linked.suffix == ".md" else ""
            assert linked.exists(), (name, target)
            assert not heading or heading in _headings(text), (name, target)


def _headings(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in found}


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


def test_ci_runs_what_developers_run() -> None:
    """`make test` is CI's too."""
    assert "make test" in (ROOT / ".ci" / "run").read_text()
