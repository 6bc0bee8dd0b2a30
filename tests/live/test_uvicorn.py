"""The agent under uvicorn: one process and several, streams, websockets and the lifespan."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.live.server import PATIENCE, ROOT, Server

pytestmark = pytest.mark.live


def uvicorn(collector: MemoryCollector, *options: str, **environ: str) -> Server:
    """The shop in Starlette under uvicorn."""
    app = "tests.live.apps:starlette_shop"
    return Server(collector, "uvicorn", "--factory", "--port", "0", *options, app, ready=_ready(options), **environ)


def _ready(options: tuple[str, ...]) -> str:
    return "Application startup complete" if options else "Uvicorn running on"


def _started(said: str) -> dict[str, str]:
    """The pids of workers that serve."""
    return {pid: pid for pid in re.findall(r"Started server process \[(\d+)\]", said)}


def test_requests_and_websocket(collector: MemoryCollector) -> None:
    """Uploads and streams are told, a websocket's conversation passes and is not, SIGTERM sends what waits."""
    with uvicorn(collector) as server:
        upload = server.ask("POST", "/echo", iter([b"first ", b"second"]), Content_Type="text/plain")
        events = server.get("/sse")
        with connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=PATIENCE) as socket:
            socket.send("hello")
            assert socket.recv(PATIENCE) == "olleh"
            socket.send("bye")
            assert socket.recv(PATIENCE) == "eyb"
        server.end()
    assert upload[0] == 200
    assert events == (200, b"data: one\n\ndata: two\n\nevent: end\ndata: three\n\n")
    traces = {trace["request"]["url"]["path"]: trace for trace in collector.traces}
    assert set(traces) == {"/echo", "/sse"}
    assert traces["/echo"]["request"]["body"] == "first second"
    assert traces["/sse"]["response"]["body"].encode() == events[1]
    for trace in traces.values():
        wire_rules.check(trace)


def test_rejected_websocket(collector: MemoryCollector) -> None:
    """A websocket that a rule rejects is answered 403 at its handshake, and another one talks."""
    rules = '[{"block": true, "path": "/ws", "parameter": {"room": "secret"}}]'
    with uvicorn(collector, METLO_RULES=rules) as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        with pytest.raises(InvalidStatus) as caught:
            connect(f"{url}?room=secret", open_timeout=PATIENCE)
        assert caught.value.response.status_code == 403
        with connect(f"{url}?room=hall", open_timeout=PATIENCE) as socket:
            socket.send("bye")
            assert socket.recv(PATIENCE) == "eyb"
        (trace,) = collector.wait(1)
    assert (trace["response"]["status"], trace["processedTraceData"]["block"]) == (403, True)


def test_client_that_leaves(collector: MemoryCollector) -> None:
    """A client that hangs up in the middle of a stream ends it, and what it got is told."""
    with uvicorn(collector) as server:
        assert b"tick" in server.leave_stream("/ticks", 3)
        (trace,) = collector.wait(1)
        assert server.get("/users/7")[0] == 200
    assert (trace["request"]["url"]["path"], trace["response"]["status"]) == ("/ticks", 200)


def test_every_worker_reports(collector: MemoryCollector) -> None:
    """Both workers report what they served."""
    with uvicorn(collector, "--workers=2") as server:
        server.hear(_started, 2)
        pids: list[bytes] = []
        with ThreadPoolExecutor(4) as clients:  # at once: while one worker is at it, the other one takes the next
            while len(set(pids)) < 2:
                assert len(pids) < 500, "one worker served everything"
                pids += [body for _, body in clients.map(server.get, ["/pid"] * 4)]
        traces = collector.wait(len(pids))
    assert sorted(trace["response"]["body"] for trace in traces) == sorted(pid.decode() for pid in pids)


def test_wrong_settings_end_the_start() -> None:
    """Starlette makes its middlewares within the lifespan: the server says all that is wrong, once, and ends."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "--port", "0", "tests.live.apps:wrong_starlette"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr.count("metlo_otel cannot start, its settings are wrong:") == 1
    for name in ("metlo_host", "max_body", "colour"):
        assert ended.stderr.count(f"  {name}: ") == 1
    assert "Traceback" not in ended.stderr
    assert "Uvicorn running" not in ended.stderr


def test_wrong_settings_without_a_lifespan(collector: MemoryCollector) -> None:
    """A server that asks for no lifespan answers a request with an error, and says why."""
    wrong = "tests.live.apps:wrong_starlette"
    options = ("--factory", "--port", "0", "--lifespan", "off")
    with Server(collector, "uvicorn", *options, wrong, ready="Uvicorn running on") as server:
        assert server.get("/users/7")[0] == 500
        server.end()
    assert "metlo_otel cannot start, its settings are wrong:" in "".join(server.output)


def test_a_body_that_comes_late(collector: MemoryCollector) -> None:
    """A client evades nothing by waiting to be asked for its body, or by sending it slowly."""
    late = {"METLO_DETECTION": "block", "METLO_READ_AHEAD_WAIT": "0.1"}
    attack = (b"q=1' OR ", b"'1'='1' -- ")
    with uvicorn(collector, **late) as server:
        for pause, headers in ((0.3, ()), (5.0, ("Expect: 100-continue",))):
            pieces = attack if not headers else (b"".join(attack),)
            assert b" 403 Forbidden\r\n" in server.post_late("/echo", pieces, pause, *headers)
            assert b" 200 OK\r\n" in server.post_late("/echo", (b"q=harmless",), pause, *headers)
