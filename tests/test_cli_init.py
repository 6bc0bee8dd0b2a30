"""`metlo-otel init` and `check --send`: from a project without the agent to a request that the collector has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metlo_otel.cli import main
from metlo_otel.cli.project import look_at
from metlo_otel.testing import MemoryCollector

FLASK = '''"""A shop."""
from flask import Flask

app = Flask(__name__)


@app.get("/users/<int:id>")
def user(id):
    return {"id": id}
'''
FACTORY = """import os

import flask


def create_app():
    shop = flask.Flask("shop")
    shop.config["X"] = os.name
    return shop
"""
FASTAPI = """from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

app: FastAPI = FastAPI(
    title="shop",
)
app.add_middleware(GZipMiddleware)


@app.get("/users/{id}")
async def user(id: int):
    return {"id": id}
"""


@pytest.mark.parametrize(
    ("source", "framework", "lines"),
    [
        (FLASK, "Flask", ["from metlo_otel.flask import MetloFlask", "MetloFlask(app)"]),
        (FACTORY, "Flask", ["from metlo_otel.flask import MetloFlask", "    MetloFlask(shop)"]),
        (
            FASTAPI,
            "FastAPI",
            ["from metlo_otel.fastapi import ASGIMiddleware", "app.add_middleware(ASGIMiddleware)"],
        ),
    ],
)
def test_the_lines_go_where_they_work(source: str, framework: str, lines: list[str], tmp_path: Path) -> None:
    """Only lines are added, the module still compiles, and the agent's middleware is the outermost."""
    (tmp_path / "shop.py").write_text(source)
    (place,) = look_at(tmp_path).places
    assert place.framework == framework
    added = [line for line in place.after.splitlines() if line not in place.before.splitlines()]
    assert added == lines
    compile(place.after, "shop.py", "exec")
    assert place.after.index(lines[1]) > place.after.rfind("add_middleware(GZip")
    place.file.write_text(place.after)
    again = look_at(tmp_path)
    assert (again.places, again.done) == ([], [place.file])


def test_a_new_django_project_still_works(tmp_path: Path) -> None:
    """In the settings of `startproject` it stands last, where the user is known, and the admin's checks pass."""
    pytest.importorskip("django")
    subprocess.run([sys.executable, "-m", "django", "startproject", "shop", str(tmp_path)], check=True, timeout=60)
    assert main(["init", str(tmp_path), "--write"]) == 0
    settings = (tmp_path / "shop" / "settings.py").read_text().splitlines()
    at = settings.index('    "metlo_otel.django.MetloDjango",')
    assert settings[at - 1].strip(" ',\"") == "django.middleware.clickjacking.XFrameOptionsMiddleware"
    assert settings[at + 1] == "]"
    with MemoryCollector() as collector:
        environ = {**os.environ, "METLO_HOST": collector.url, "METLO_API_KEY": collector.api_key}
        for command in (
            ["check"],
            ["shell", "-c", "from django.test import Client; Client(SERVER_NAME='localhost').get('/admin/')"],
        ):
            done = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
        assert collector.wait(1)[0]["request"]["url"]["path"] == "/admin/"


def test_what_is_no_persons_source_is_passed_over(tmp_path: Path) -> None:
    """Environments, dependencies, tests and what is no Python are not looked into."""
    for folder in ("venv", "node_modules/x", "tests", ".git", "site-packages"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "shop.py").write_text(FLASK)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "test_shop.py").write_text(FLASK)
    (tmp_path / "old.py").write_text("print 'hello'")
    assert look_at(tmp_path).places == []


def test_nothing_is_written_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal and without --write the difference is shown, and that is all."""
    (tmp_path / "shop.py").write_text(FLASK)
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "shop.py").read_text() == FLASK
    assert "+MetloFlask(app)" in capsys.readouterr().out
    (tmp_path / "shop.py").write_text("x = 1\n")
    assert main(["init", str(tmp_path)]) == 1
    assert "No Django, Flask" in capsys.readouterr().err


def test_opentelemetry_in_place_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who has it set up is told that nothing is to be done about it."""
    (tmp_path / "shop.py").write_text(FLASK)
    (tmp_path / "tracing.py").write_text("from opentelemetry import trace\n")
    assert main(["init", str(tmp_path)]) == 0
    assert "joins its traces" in capsys.readouterr().out


@pytest.mark.parametrize("source", [FLASK, FASTAPI, None], ids=["flask", "fastapi", "our own"])
def test_a_request_is_sent_through_the_app(source: str | None, tmp_path: Path) -> None:
    """`check --send` says that the collector has it only where the collector has it."""
    if source is not None:
        (tmp_path / "shop.py").write_text(source)
        assert main(["init", str(tmp_path), "--write"]) == 0
    with MemoryCollector() as collector:
        done = _check(tmp_path, collector.url, collector.api_key, "shop:app" if source else None)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{collector.url} has it" in _unwrapped(done.stdout)
        assert collector.traces or collector.aggregates


def test_an_app_without_the_agent_is_told_of(tmp_path: Path) -> None:
    """It answers, but nobody saw it; the line that mends that is named. So is an app that is not there."""
    (tmp_path / "shop.py").write_text(FLASK)
    with MemoryCollector() as collector:
        done = _check(tmp_path, collector.url, collector.api_key, "shop:app")
        assert done.returncode == 1
        assert "metlo-otel init" in _unwrapped(done.stdout)
        done = _check(tmp_path, collector.url, collector.api_key, "shop:application")
        assert "cannot be imported" in _unwrapped(done.stdout)


def test_where_it_went_is_told_as_the_app_has_it(tmp_path: Path) -> None:
    """An app whose code names another collector sends it there, whatever `--host` says."""
    with MemoryCollector() as asked, MemoryCollector() as own:
        given = f"MetloFlask(app, {own.url!r}, {own.api_key!r})\n"
        (tmp_path / "shop.py").write_text(FLASK + "\n\nfrom metlo_otel.flask import MetloFlask\n" + given)
        done = _check(tmp_path, asked.url, asked.api_key, "shop:app")
        assert f"{own.url} has it" in _unwrapped(done.stdout)
        assert not asked.traces


def _check(folder: Path, url: str, key: str, app: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "metlo_otel.cli",
            "check",
            "--host",
            url,
            "--api-key",
            key,
            "--send",
            *([app] if app else []),
        ],
        cwd=folder,
        env={**os.environ, "METLO_CONFIG_CACHE": "off", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _unwrapped(text: str) -> str:
    return " ".join(text.replace("│", " ").split())
