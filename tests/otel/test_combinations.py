"""Every set-up of OpenTelemetry, every framework, every way of having the agent beside it."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.otel import apps
from tests.otel.driver import CALLER, EXPORTED, SETUPS

ROOT = Path(__file__).parent.parent.parent
REQUESTS = ("get", "post", "stream")
CLI = "cli"
CELLS = [(mode, framework) for mode in apps.MODES for framework in apps.FRAMEWORKS]
CELLS += [(CLI, framework) for framework in apps.ZERO_CODE]
# What hooks cannot see: Flask's and WSGI's responses, and streams in Django.
UNSEEN_BY_HOOKS = {
    "flask": REQUESTS,
    "wsgi": REQUESTS,
    "django-wsgi": ("stream",),
    "django-asgi": ("stream",),
}


ENVIRONS = {
    "disabled": {"OTEL_SDK_DISABLED": "true"},
    "ddtrace": {
        "DD_TRACE_OTEL_ENABLED": "true",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",  # nobody listens
        "DD_TRACE_STARTUP_LOGS": "false",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    },
}


@dataclass(frozen=True)
class Outcome:
    """What one process left behind: traces at the collector, spans and console output of the other exporters."""

    traces: list[dict[str, Any]]
    spans: list[dict[str, Any]]
    console: str
    untraced: list[str]
    metrics: dict[str, float]

    def trace(self, cell: str, name: str) -> dict[str, Any]:
        """The one trace of a request. Fails where there is none or are two."""
        (found,) = [trace for trace in self.traces if _asked(trace) == (cell, name)]
        return found

    def server_spans(self, cell: str, name: str) -> list[dict[str, Any]]:
        """The server spans that were exported of a request, by any instrumentation."""
        wanted = f"cell={cell}&n={name}"
        servers = [span for span in self.spans if span["kind"] == "SpanKind.SERVER"]
        return [span for span in servers if any(wanted in str(value) for value in span["attributes"].values())]


@functools.cache
def outcome(setup: str, *modes: str, **more: str) -> Outcome:
    """Run the driver, once for each of these: with no modes for all but zero code, else under that command."""
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.otel.django_settings", **more}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environ.update(ENVIRONS.get(setup, {}))
    command = [sys.executable, "-m", "tests.otel.driver", setup, *modes]
    if modes == (CLI,):
        environ["OTEL_PYTHON_CONFIGURATOR"] = "none"  # the driver is the one that sets OpenTelemetry up
        command = [_beside("opentelemetry-instrument"), *command]
    with MemoryCollector({"globalFullTraceCapture": True}) as collector:
        environ.update(METLO_HOST=collector.url, METLO_API_KEY=collector.api_key)
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return Outcome(list(collector.traces), **json.loads(done.stdout.splitlines()[-1]))


def _beside(program: str) -> str:
    """The program of this environment, not of another one on PATH."""
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    assert found is not None, program
    return found


def _asked(trace: dict[str, Any]) -> tuple[str, str]:
    query = {pair["name"]: pair["value"] for pair in trace["request"]["url"]["parameters"]}
    return query["cell"], query["n"]


def _outcome(setup: str, mode: str) -> Outcome:
    if setup in ("logfire", "ddtrace") and importlib.util.find_spec(setup) is None:
        pytest.skip(f"{setup} is not in this environment: it has no version for this OpenTelemetry, or this Python")
    return outcome(setup, *([CLI] if mode == CLI else []))


@pytest.mark.parametrize(("mode", "framework"), CELLS)
@pytest.mark.parametrize("setup", SETUPS)
def test_every_request_is_captured_once_and_joins_the_apps_trace(setup: str, mode: str, framework: str) -> None:
    """One trace a request, with trace and span id of the app's server span; bodies present wherever they can be."""
    seen, cell = _outcome(setup, mode), f"{framework}.{mode}"
    reported = sorted(_asked(trace) for trace in seen.traces if _asked(trace)[0] == cell)
    if mode == "exporter" and setup not in EXPORTED:
        assert reported == []  # nobody else sees a request whose span is not exported: the pages say so
        return
    assert reported == [(cell, name) for name in sorted(REQUESTS)]
    for name in REQUESTS:
        traced = setup in EXPORTED and mode != "facade" and cell not in seen.untraced
        _assert_joined(traced, seen.trace(cell, name), seen.server_spans(cell, name))
        if setup == "ddtrace" and mode != "facade" and cell not in seen.untraced:  # its spans go to no exporter of ours
            assert seen.trace(cell, name)["meta"]["exchangeId"]  # none where no span was joined
        if mode != "exporter":
            _assert_captured(mode, framework, name, seen.trace(cell, name))


def _assert_joined(traced: bool, trace: dict[str, Any], spans: list[dict[str, Any]]) -> None:
    meta = trace["meta"]
    exported = [(span["context"]["trace_id"][2:], span["context"]["span_id"][2:]) for span in spans]
    if traced:
        assert exported == [(meta["traceId"], meta["spanId"])]
        marks = [span["attributes"].get("metlo.exchange.id") for span in spans]
        assert marks == [meta["exchangeId"]]
    elif exported:  # a framework that makes spans by itself
        assert exported == [(meta["traceId"], meta["spanId"])]
    if "traceparent" in {pair["name"].lower() for pair in trace["request"]["headers"]}:
        assert meta["traceId"] == CALLER[0]


def _assert_captured(mode: str, framework: str, name: str, trace: dict[str, Any]) -> None:
    request, response = trace["request"], trace["response"]
    assert response["status"] == 200
    assert request["body"] == (apps.BODY.decode() if name == "post" else "")
    expected = b"".join(apps.CHUNKS) if name == "stream" else apps.ANSWER
    unseen = mode == "hooks" and name in UNSEEN_BY_HOOKS.get(framework, ())
    assert response["body"] == ("" if unseen else expected.decode())
    assert {"name": "X-Probe", "value": apps.HEADERS["X-Probe"]} in [
        {"name": pair["name"].title(), "value": pair["value"]} for pair in request["headers"]
    ]
    if framework not in ("wsgi", "asgi"):
        prefix = "/async" if framework == "django-asgi" else ""
        assert request["url"]["endpointPath"] == prefix + ("/stream" if name == "stream" else "/items/{id}")


@pytest.mark.parametrize("zero_code", [False, True])
@pytest.mark.parametrize("setup", SETUPS)
def test_no_other_exporter_sees_headers_or_bodies(setup: str, zero_code: bool) -> None:
    """What else is attached gets spans with markers at most: neither in memory nor in the console's bytes is more."""
    seen = _outcome(setup, CLI if zero_code else "facade")
    if setup in EXPORTED:
        assert seen.spans
        assert "metlo.exchange.id" in seen.console
    told = json.dumps(seen.spans) + seen.console
    assert [secret for secret in apps.SECRETS if secret in told] == []


@pytest.mark.parametrize("setup", [setup for setup in EXPORTED if setup != "second"])
def test_server_spans_stay_the_apps_own(setup: str) -> None:
    """A server span has the parent that it would have without the agent: the caller's span, or none."""
    seen = _outcome(setup, "contrib-facade")
    for framework in apps.FRAMEWORKS:
        cell = f"{framework}.contrib-facade"
        parents = [seen.server_spans(cell, name)[0]["parent_id"] for name in REQUESTS]
        assert parents == [None, "0x" + CALLER[1], None]
