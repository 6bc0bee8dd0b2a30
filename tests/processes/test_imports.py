"""An import of ours brings in nothing that gevent or eventlet would patch too late, and starts nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LATE = ("ssl", "requests", "urllib3", "http.client")
# What each of our modules is used with: what its import brings in is not ours to keep out.
_GIVEN = "import opentelemetry.sdk.trace"
_MODULES = {
    "metlo_otel": "",
    "metlo_otel.auto": "",
    "metlo_otel.wsgi": _GIVEN,
    "metlo_otel.exporter": _GIVEN,
    "metlo_otel.hooks": _GIVEN,
    "metlo_otel.asgi": f"{_GIVEN}, asyncio",
    "metlo_otel.flask": f"{_GIVEN}, flask",
    "metlo_otel.fastapi": f"{_GIVEN}, starlette.applications",
    "metlo_otel.django": f"{_GIVEN}, django.http, django.core.checks",
    "metlo.flask": f"{_GIVEN}, flask",
    "metlo.fastapi": f"{_GIVEN}, starlette.applications",
    "metlo.django": f"{_GIVEN}, django.http, django.core.checks",
}
_USED = {
    "metlo_otel.wsgi": "metlo_otel.wsgi.WSGIMiddleware(lambda environ, start: [], 'http://127.0.0.1:9', 'key')",
    "metlo_otel.asgi": "metlo_otel.asgi.ASGIMiddleware(lambda scope, receive, send: None, 'http://127.0.0.1:9', 'key')",
    "metlo_otel.flask": "metlo_otel.flask.MetloFlask(flask.Flask('x'), 'http://127.0.0.1:9', 'key')",
    "metlo_otel.exporter": "metlo_otel.exporter.MetloSpanExporter('http://127.0.0.1:9', 'key')",
}


@pytest.mark.parametrize("module", _MODULES)
def test_importing_and_making_an_agent_is_nothing(module: str) -> None:
    """Neither the import nor making an agent imports ssl or an HTTP library, nor starts a thread."""
    lines = [
        "import sys, threading",
        _MODULES[module],
        f"before = {{name for name in {_LATE!r} if name in sys.modules}}",
        f"import {module}",
        _USED.get(module, ""),
        f"print(sorted({{name for name in {_LATE!r} if name in sys.modules}} - before), threading.active_count())",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[] 1\n", "")


@pytest.mark.parametrize("way", ["flask", "fastapi", "django", "asgi", "wsgi"])
def test_the_detectors_are_left_to_the_worker(way: str) -> None:
    """Patterns that take a quarter of a second to compile are no part of an app's start."""
    code = (
        f"import sys; import metlo_otel.{way}; "
        "print([name for name in sys.modules if name.startswith(('metlo_otel.analysis.detectors', 're2', 'requests'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
