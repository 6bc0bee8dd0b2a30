"""Apps without a line of ours, under `opentelemetry-instrument`: everything that the middleware gives, or nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.live.server import Server, free_port

pytestmark = pytest.mark.live

RULES = json.dumps([{"id": "internal", "name": "internal", "block": True, "path": {"starts with": "/users/666"}}])
SECRETS = ("secret-of-header", "secret-of-body", "secret-of-response")
FLASK, FASTAPI = "tests.live.unaware:flask_app", "tests.live.unaware:fastapi_app"
UVICORN = "Application startup complete"
# The command, and what its server says when it is ready; PORT stands for one that is free.
COMMANDS = {
    "flask": (f"flask --app {FLASK} run --port PORT", "Press CTRL+C to quit"),
    "gunicorn": (f"gunicorn -w 2 --bind 127.0.0.1:0 {FLASK}", "Booting worker"),
    "uvicorn": (f"uvicorn {FASTAPI} --workers 2 --port 0", UVICORN),
    "django-wsgi": ("python tests/live/manage.py runserver --noreload 127.0.0.1:PORT", "Quit the server"),
    "django-asgi": ("uvicorn --factory tests.live.unaware:django_app --port 0", "Uvicorn running on"),
}
WORKERS = {"gunicorn": 2, "uvicorn": 2}


def instrumented(collector: MemoryCollector, way: str, **environ: str) -> Server:
    """A server under opentelemetry-instrument, whose spans go to the console and to Metlo's exporter."""
    command, ready = COMMANDS[way]
    set_up = {
        "OTEL_TRACES_EXPORTER": "console,metlo",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "DJANGO_SETTINGS_MODULE": "tests.live.unaware_settings",
        "METLO_RULES": RULES,
    }
    arguments = command.replace("PORT", str(free_port())).split()
    return Server(collector, *arguments, ready=ready, program="opentelemetry-instrument", **{**set_up, **environ})


def server_spans(output: str) -> dict[str, dict[str, Any]]:
    """The server spans on the console, by trace id."""
    # The access log goes to the same terminal, and may have begun a line.
    found = re.findall(r'\{\n    "name".*?^\}$', output, re.MULTILINE | re.DOTALL)
    spans = [span for text in found if (span := json.loads(text))["kind"] == "SpanKind.SERVER"]
    return {span["context"]["trace_id"].removeprefix("0x"): span for span in spans}


def from_every_worker(server: Server, workers: int) -> int:
    """Ask until so many processes have answered; how many requests that took."""
    pids: list[int] = []
    while len(set(pids)) < workers:
        assert len(pids) < 500, "one worker served everything"
        pids.append(json.loads(server.get("/about")[1])["pid"])
    return len(pids)


@pytest.mark.parametrize("way", COMMANDS)
def test_the_command_alone_captures_and_blocks(collector: MemoryCollector, way: str) -> None:
    """Every worker captures each request once, blocks by its rules, and joins the server spans, which stay lean."""
    with instrumented(collector, way) as server:
        asked = from_every_worker(server, WORKERS.get(way, 1))
        answer = server.ask("POST", "/users/7?cell=1", b'{"note": "secret-of-body"}', X_Probe="secret-of-header")
        rejected = server.get("/users/666")
        traces = collector.wait(asked + 2)
        spans = server.hear(server_spans, asked + 2)
        server.end()
    assert (answer[0], json.loads(answer[1])) == (200, {"id": 7, "note": "secret-of-response"})
    assert rejected[0] == 403
    assert len(collector.traces) == asked + 2
    assert b"secret" not in rejected[1]
    by_path = {trace["request"]["url"]["path"]: trace for trace in traces}
    told, blocked = by_path["/users/7"], by_path["/users/666"]
    assert told["request"]["body"] == '{"note": "secret-of-body"}'
    assert json.loads(told["response"]["body"])["note"] == "secret-of-response"
    assert told["request"]["url"]["endpointPath"] == "/users/{id}"
    assert blocked["response"]["status"] == 403
    for trace in (told, blocked):
        wire_rules.check(trace)
        span = spans[trace["meta"]["traceId"]]
        assert span["context"]["span_id"] == "0x" + trace["meta"]["spanId"]
        assert span["attributes"]["metlo.exchange.id"] == trace["meta"]["exchangeId"]
    (event,) = spans[blocked["meta"]["traceId"]]["events"]
    assert (event["name"], event["attributes"]["metlo.rule.id"]) == ("metlo.blocked", "internal")
    assert [secret for secret in SECRETS if secret in "".join(server.output)] == []


@pytest.mark.parametrize("way", ["flask", "uvicorn"])
def test_without_settings_it_is_not_there(collector: MemoryCollector, way: str) -> None:
    """Where neither METLO_HOST nor METLO_API_KEY is set, the agent is not imported, and nothing is different."""
    with instrumented(collector, way, METLO_HOST="", METLO_API_KEY="", OTEL_TRACES_EXPORTER="console") as server:
        assert json.loads(server.get("/users/666")[1])["id"] == 666
        about = json.loads(server.get("/about")[1])
        server.hear(server_spans, 2)
    assert [name for name in about["imported"] if re.fullmatch(r"metlo_otel(\.auto|\.core.*)?", name) is None] == []
    assert collector.requests == []
    assert "metlo" not in "".join(server.output)


def test_wrong_settings_leave_the_tracing_alone(collector: MemoryCollector) -> None:
    """What the entry point cannot do is said once; the app serves, and its spans are there."""
    with instrumented(collector, "flask", METLO_MODE="nonsense", OTEL_TRACES_EXPORTER="console") as server:
        assert server.get("/users/7")[0] == 200
        server.hear(server_spans, 1)
    assert "".join(server.output).count("METLO_MODE: is 'nonsense'") == 1
