"""What the page about rules tells is so: its rules are right and do what they are called, its functions answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from metlo_otel.blocking.friendly import NAMES
from metlo_otel.blocking.local_rules import load_rules
from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import LocalStore
from metlo_otel.blocking.vocabulary import OPERATORS
from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import NOW, client, exchange
from tests.pages import PAGES, ROOT

SECTION = PAGES["docs/how-to/rules.md"]


def block(kind: str, sign: str) -> str:
    """The one block of code of the page that has the sign in it."""
    found: str
    (found,) = [text for text in re.findall(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL) if sign in text]
    return found


def test_rules_file() -> None:
    """The rules file has no mistakes, and each rule does what its name says."""
    pytest.importorskip("yaml", reason="pyyaml (extra `rules`) is not installed")
    rules, problems = load_rules(block("yaml", "rules.yml"), "rules.yml")
    assert (len(rules), problems) == (5, [])
    policy = Policy(rules, LocalStore())
    login, bot = exchange("POST", "/login"), exchange("GET", "/", [("User-Agent", "BadBot/1.0")])
    assert policy.decide(exchange("GET", "/internal/x"), client(), NOW).blocked
    assert policy.decide(bot, client(), NOW).blocked
    assert not policy.decide(exchange(), client(), NOW).blocked
    verdicts = [policy.decide(login, client(), NOW) for _ in range(6)]
    assert [verdict.blocked for verdict in verdicts] == [False] * 5 + [True]
    assert (verdicts[5].rate_limited, verdicts[5].retry_after) == (True, 600)
    assert policy.decide(exchange(), client("192.0.2.77"), NOW).tags == ("partner",)
    for status in [404] * 20 + [200]:
        policy.observe(exchange("GET", "/orders/1", status=status), client(), NOW)
    assert policy.decide(exchange("GET", "/orders/1"), client(), NOW).rate_limited


def test_every_word_is_told() -> None:
    """The table names every part that a rule may have, and every comparison."""
    for word in (*NAMES, *[operator.written for operator in OPERATORS.values()]):
        assert re.search(rf"`{{?{word}\b", SECTION), word


PROBES = {
    "RULES=[": """
client = shop.test_client()
assert client.get("/internal/x").status_code == 403
assert client.get("/internal/x", environ_base={"REMOTE_ADDR": "10.1.2.3"}).status_code == 404
assert client.get("/?debug=1").status_code == 404
""",
    "def reject_in_flask": """
from werkzeug.test import Client, run_wsgi_app, EnvironBuilder
options = {"METLO_HOST": "http://127.0.0.1:8081", "API_KEY": "<YOUR_API_KEY>", "RULES": [{"block": True, "path": "*"}]}
def get(app):
    return Client(app).get("/x")
from flask import Flask
from metlo_otel.flask import MetloFlask
app = Flask("x")
MetloFlask(app, "http://127.0.0.1:8081", "<YOUR_API_KEY>", RULES=options["RULES"], REJECT_RESPONSE=reject_in_flask)
assert get(app).json == {"error": "not here", "path": "/x"}
from metlo_otel.wsgi import WSGIMiddleware
assert get(WSGIMiddleware(app, **options, REJECT_RESPONSE=reject_in_wsgi)).text == "not here: /x"
import asyncio, json
import django
from django.conf import settings
settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"], MIDDLEWARE=["metlo_otel.django.MetloDjango"],
                   METLO_CONFIG={**options, "REJECT_RESPONSE": reject_in_django})
django.setup()
from django.test import Client as DjangoClient
assert DjangoClient().get("/x").json() == {"error": "not here", "path": "/x"}
from fastapi import FastAPI
from metlo_otel.fastapi import ASGIMiddleware
api = FastAPI()
api.add_middleware(ASGIMiddleware, **options, REJECT_RESPONSE=reject_in_fastapi)
from tests.contract import asgi_driver, http
assert json.loads(asgi_driver.serve(api, http.get("/x")).body) == {"error": "not here", "path": "/x"}
""",
}


@pytest.mark.parametrize("sign", PROBES)
def test_python(sign: str, tmp_path: Path) -> None:
    """The Python of the page runs as it stands, and rejects what it says, in every framework."""
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "METLO_CONFIG_CACHE": "off", "TMPDIR": str(tmp_path)}
    with MemoryCollector() as collector:
        code = (block("python", sign) + PROBES[sign]).replace("http://127.0.0.1:8081", collector.url)
        code = code.replace("<YOUR_API_KEY>", collector.api_key)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ, check=False
        )
    assert done.returncode == 0, done.stderr
