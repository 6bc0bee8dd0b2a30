"""The original agent, as it is on PyPI, against the collector: unchanged, on its two ports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from metlo_otel.collector.actions import put_rule
from metlo_otel.collector.configuration import configure
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from tests.collector.client import KEY, READ_KEY, Client

pytestmark = pytest.mark.live  # they mostly wait for others, beside what does not

_PACKAGES = ("metlo==0.1.5", "flask==3.1.3")
_APP = """
import sys, time
from flask import Flask
from metlo.flask import MetloFlask

collector, backend, key = sys.argv[1:]
app = Flask("shop")

@app.route("/users/<int:number>", methods=["GET", "POST"])
def user(number):
    return {"id": number, "email": "anna@shop.example"}

MetloFlask(app, "http://127.0.0.1", key, COLLECTOR_PORT=int(collector), BACKEND_PORT=int(backend))
client = app.test_client()
peer = {"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "40000"}
print("started", flush=True)
for line in sys.stdin:
    answer = client.get(line.strip(), environ_overrides=peer)
    print(answer.status_code, flush=True)
"""


_OLDER = ("metlo==0.0.17", "flask==2.3.3", "werkzeug<3", "django==4.2.16")
_OLDER_DJANGO = """
import sys
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="x",
    MIDDLEWARE=["metlo.django.MetloDjango"],
    METLO_CONFIG={"METLO_HOST": sys.argv[1], "API_KEY": sys.argv[2]},
)
import django
django.setup()
from django.http import JsonResponse
from django.test import Client
from django.urls import path
urlpatterns = [path("users/<int:number>", lambda request, number: JsonResponse({"email": "ann@shop.example"}))]
Client().get("/users/7?q=1%27%20OR%20%271%27=%271", SERVER_NAME="shop.example")
"""
_OLDER_FLASK = """
import sys
from flask import Flask
from metlo.flask import MetloFlask
app = Flask("shop")
MetloFlask(app, sys.argv[1], sys.argv[2])
app.add_url_rule("/users/<int:number>", view_func=lambda number: {"email": "ann@shop.example"}, endpoint="user")
app.test_client().get("/users/7?q=1%27%20OR%20%271%27=%271", headers={"Host": "shop.example"})
"""


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the original agent; skipped where it cannot be installed."""
    return _installed(tmp_path_factory.mktemp("original"), _PACKAGES)


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with one that sends raw traces."""
    return _installed(tmp_path_factory.mktemp("older"), _OLDER)


def _installed(folder: Path, packages: tuple[str, ...]) -> str:
    venv.create(folder)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--only-binary=:all:", "--no-compile"]
    try:
        installed = subprocess.run([*install, *packages], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the original agent could not be installed within two minutes")
    if installed.returncode:
        pytest.skip(f"the original agent cannot be installed here: {installed.stderr.strip().splitlines()[-1:]}")
    return python


def test_the_original_agent(original: str, tmp_path: Path) -> None:
    """It starts, takes the configuration, and what it sends lands: endpoint, data classes, content and attack; a rule
    that the collector serves is in force in it.
    """
    path = str(tmp_path / "x.db")
    store = Store(path, duties=False)
    rule = {"name": "no bots", "block": True, "parameter": {"bot": {"is": "yes"}}}
    store.change(lambda connection: put_rule(connection, rule, "test")).result()
    store.change(lambda connection: configure(connection, "globalFullTraceCapture", True)).result()
    store.close()
    command = [sys.executable, "-m", "metlo_otel.cli", "collector", "--port", "0", "--backend-port", "0", "--db", path]
    keys = {"METLO_KEY": KEY, "METLO_READ_KEY": READ_KEY}
    environment = {**os.environ, **keys, "METLO_DASHBOARD_PASSWORD": "a long password"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as collector:
        try:
            assert collector.stdout is not None
            line = next(line for line in collector.stdout if line.startswith("Collector"))
            ports = re.findall(r"http://127\.0\.0\.1:(\d+)", line)
            assert len(set(ports)) == 2
            _drive(original, ports, Client(f"http://127.0.0.1:{ports[0]}"), tmp_path)
        finally:
            collector.terminate()


def _drive(python: str, ports: list[str], client: Client, folder: Path) -> None:
    command = [python, "-c", _APP, *ports, KEY]
    environment = {**os.environ, "METLO_DISABLE_E2EE": "true"}
    # away from here, where Python would find our own package `metlo`
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=folder,
    ) as app:
        try:
            assert app.stdin is not None
            assert app.stdout is not None
            assert app.stdout.readline() == "started\n"

            def ask(path: str) -> str:
                assert app.stdin is not None
                assert app.stdout is not None
                app.stdin.write(path + "\n")
                app.stdin.flush()
                return app.stdout.readline().strip()

            assert ask("/users/7") == "200"
            _until(lambda: len(client.items("traces")) >= 1)
            assert ask("/users/8?q=1%27%20OR%20%271%27=%271") == "200"
            _until(lambda: len(client.items("attacks")) >= 1)
            assert ask("/users/9?bot=yes") in ("403", "500")  # its own default rejection answers 500 in Flask
            (endpoint,) = client.items("endpoints")
            assert (endpoint["path"], endpoint["method"]) == ("/users/{param1}", "GET")
            assert "Email" in endpoint["classes"]
            found = client.items("traces")[-1]
            assert (found["source"], found["status"], found["redacted"]) == ("192.0.2.9", 200, False)
        finally:
            app.kill()
            client.session.close()


@pytest.mark.parametrize("program", [_OLDER_DJANGO, _OLDER_FLASK], ids=["django", "flask"])
def test_older_agents(older: str, program: str, collector: RunningCollector, client: Client, tmp_path: Path) -> None:
    """What they send raw is analysed on arrival; the host is the same, whether it is written with a scheme or not."""
    # away from here, where Python would find our own package `metlo`
    command = [older, "-c", program, collector.url, KEY]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    _until(lambda: len(client.items("attacks")) >= 1)
    (endpoint,) = client.items("endpoints")
    assert (endpoint["host"], endpoint["path"]) == ("shop.example", "/users/{param1}")
    assert (endpoint["calls"], endpoint["statuses"], endpoint["classes"]) == (1, {"200": 1}, ["Email"])
    assert client.items("attacks")[0]["field"] == "reqQuery.q"


def _until(is_so: Callable[[], bool]) -> None:
    """The original agent sends once a second."""
    pause = threading.Event()
    for _ in range(200):
        if is_so():
            return
        pause.wait(0.1)
    raise AssertionError("nothing arrived within 20 seconds")
