"""What a user writes is checked in their editor: a misspelt option fails there, and our pages are well typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from metlo_otel.core.options import LowerCase, Options
from metlo_otel.core.settings import KNOWN_NAMES
from tests.pages import BLOCKS

pytest.importorskip("mypy", reason="mypy is not installed, as in the environments of the oldest and newest versions")

_OWN_ARGUMENTS = {"METLO_HOST", "API_KEY"}  # `host` and `api_key`, given by name

_RIGHT = """
import flask
import fastapi
from metlo_otel import Options, instrument
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.exporter import MetloSpanExporter
from metlo_otel.flask import MetloFlask
from metlo_otel.hooks import Hooks
from metlo_otel.wsgi import WSGIMiddleware

METLO_CONFIG: Options = {"API_KEY": "key", "METLO_HOST": "http://127.0.0.1:8081", "DETECTION": {"SQLI": "block"}}
app = flask.Flask("shop")
MetloFlask(app, "http://127.0.0.1:8081", "key", GET_USER=lambda: "anna", MAX_BODY=4096, detection="block")
fastapi.FastAPI().add_middleware(ASGIMiddleware, host="http://127.0.0.1:8081", api_key="key", mode="monitor")
wrapped = ASGIMiddleware(fastapi.FastAPI(), "http://127.0.0.1:8081", "key", EXCLUDED_URLS=["/health"])
wsgi = WSGIMiddleware(app.wsgi_app, "http://127.0.0.1:8081", "key", allowed_ips="10.0.0.0/8")
exporter = MetloSpanExporter("http://127.0.0.1:8081", "key", environment="staging")
hooks = Hooks("http://127.0.0.1:8081", "key", span_attributes="headers")
instrument("http://127.0.0.1:8081", "key", RULES=[{"block": True, "path": "/admin"}])
"""

# Each with the name of an option that a checker must find fault with.
_WRONG = {
    'MetloFlask(flask.Flask("shop"), "http://a", "k", detecton="block")': "detecton",
    'fastapi.FastAPI().add_middleware(ASGIMiddleware, host="http://a", api_key="k", detecton="block")': "detecton",
    'ASGIMiddleware(fastapi.FastAPI(), "http://a", "k", MAXBODY=1)': "MAXBODY",
    'WSGIMiddleware(flask.Flask("shop").wsgi_app, "http://a", "k", mode="blok")': "mode",
    'MetloSpanExporter("http://a", "k", GETUSER=len)': "GETUSER",
    'Hooks("http://a", "k", span_attributes="all")': "span_attributes",
    'instrument("http://a", "k", MAX_BODY=[1])': "MAX_BODY",
    'config: Options = {"API_KEY": "k", "METLO_HOTS": "x"}': "METLO_HOTS",
}


def test_every_setting_is_an_option_in_both_spellings() -> None:
    """A new setting that is not typed would be an error in users' editors."""
    upper = {name for name in Options.__annotations__ if name.isupper()}
    assert set(KNOWN_NAMES) <= upper
    lower = {name.upper() for name in LowerCase.__annotations__}
    assert upper - lower == _OWN_ARGUMENTS | {"HOST", "KEY"}


def test_a_misspelt_option_fails_in_the_checker_on_every_way_in(tmp_path: Path) -> None:
    """What is right passes `mypy --strict`; each wrong line is named, and no other."""
    lines = _RIGHT.count("\n")
    (tmp_path / "shop.py").write_text(_RIGHT + "\n".join(_WRONG) + "\n")
    found = _errors(tmp_path, "--strict", "shop.py")
    for place, (line, name) in enumerate(_WRONG.items()):
        said = [text for number, text in found if number == lines + place + 1]
        assert any(f'"{name}"' in text for text in said), (line, said)
    assert len({number for number, _ in found}) == len(_WRONG), found


def test_the_python_of_the_pages_is_well_typed(tmp_path: Path) -> None:
    """A reader's editor shows no error of ours in what they copied."""
    for place, block in enumerate(BLOCKS):
        if block.kind == "python":
            (tmp_path / f"block_{place}.py").write_text(block.text)
    # Names and packages that stand for the reader's own code are theirs; unstubbed ones, of OpenTelemetry, are others'.
    others = ("name-defined", "import-not-found", "import-untyped")
    found = _errors(tmp_path, ".", "--check-untyped-defs", *(f"--disable-error-code={code}" for code in others))
    assert found == []


def _errors(folder: Path, *options: str) -> list[tuple[int, str]]:
    """What mypy says: line and text."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--config-file=", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not done.stderr, done.stderr
    found = [re.match(r"[^:]+:(\d+): error: (.*)", line) for line in done.stdout.splitlines()]
    return [(int(match[1]), match[2]) for match in found if match is not None]
