"""The agent under gunicorn: forks, preloaded apps, chunks, clients that leave, and an end by SIGTERM."""

from __future__ import annotations

import json

import pytest

from metlo_otel.testing import MemoryCollector
from tests.contract import wire_rules
from tests.live.server import Server

pytestmark = pytest.mark.live


def gunicorn(collector: MemoryCollector, *options: str, **environ: str) -> Server:
    """The shop in Flask under gunicorn."""
    app = "tests.live.apps:flask_shop()"
    return Server(collector, "gunicorn", "--bind", "127.0.0.1:0", *options, app, ready="Booting worker", **environ)


@pytest.mark.parametrize("options", [["--workers=2"], ["--workers=2", "--preload"]], ids=["workers", "preload"])
def test_every_worker_reports(collector: MemoryCollector, options: list[str]) -> None:
    """Both workers report what they served, with the app loaded before or after the fork."""
    with gunicorn(collector, *options) as server:
        pids: list[bytes] = []
        while len(set(pids)) < 2:
            assert len(pids) < 500, "one worker served everything"
            pids.append(server.get("/pid")[1])
        traces = collector.wait(len(pids))
    told = sorted(trace["response"]["body"] for trace in traces)
    assert told == sorted(pid.decode() for pid in pids)
    for trace in traces:
        wire_rules.check(trace)


def test_upload_stream_and_file(collector: MemoryCollector) -> None:
    """A chunked upload, a stream and a file that the server sends by itself arrive whole, and are told."""
    with gunicorn(collector) as server:
        upload = server.ask("POST", "/raw", iter([b"first ", b"second ", b"third"]), Content_Type="text/plain")
        stream = server.get("/stream")
        file = server.get("/file")
        traces = {trace["request"]["url"]["path"]: trace for trace in collector.wait(3)}
    assert upload == (200, b'{"read": [7, 7, 4]}')
    assert stream[1].startswith(b"chunk0\nchunk1\n")
    assert file[1].startswith(b'{"name": "report"')
    assert traces["/raw"]["request"]["body"] == "first second third"
    assert traces["/stream"]["response"]["body"].encode() == stream[1]
    assert traces["/file"]["meta"]["responseBodySize"] == len(file[1])


def test_long_upload_that_is_read_ahead(collector: MemoryCollector) -> None:
    """Where attacks are kept out, a body is looked at before the view: which still gets all of a long one."""
    long = b"harmless " * 10_000
    with gunicorn(collector, METLO_DETECTION="block") as server:
        status, answer = server.ask("POST", "/echo", long, Content_Type="text/plain")
        assert (status, json.loads(answer)["body"]) == (200, long.decode())
        assert server.ask("POST", "/echo", b"' OR 1=1 -- " + long, Content_Type="text/plain")[0] == 403


def test_client_that_leaves(collector: MemoryCollector) -> None:
    """A client that hangs up in the middle of a stream ends it, what it got is told, and the server goes on."""
    with gunicorn(collector) as server:
        assert b"tick" in server.leave_stream("/endless", 3)
        (trace,) = collector.wait(1)
        assert server.get("/users/7")[0] == 200
    assert (trace["request"]["url"]["path"], trace["response"]["status"]) == ("/endless", 200)
    assert trace["response"]["body"].startswith("tick\ntick\n")


def test_sigterm_sends_what_waits(collector: MemoryCollector) -> None:
    """What was served just before the end is at the collector when the server has ended."""
    with gunicorn(collector, "--workers=2") as server:
        for number in range(10):
            assert server.get(f"/users/{number}")[0] == 200
        assert server.end() == 0
    paths = sorted(trace["request"]["url"]["path"] for trace in collector.traces)
    assert paths == sorted(f"/users/{number}" for number in range(10))


def test_a_body_that_comes_late(collector: MemoryCollector) -> None:
    """A client evades nothing by waiting to be asked for its body, or by sending it slowly."""
    late = {"METLO_DETECTION": "block", "METLO_READ_AHEAD_WAIT": "0.1"}
    attack = (b"q=1' OR ", b"'1'='1' -- ")
    with gunicorn(collector, "--threads=2", **late) as server:
        for pause, headers in ((0.3, ()), (5.0, ("Expect: 100-continue",))):
            pieces = attack if not headers else (b"".join(attack),)
            assert b" 403 FORBIDDEN\r\n" in server.post_late("/echo", pieces, pause, *headers).upper()
            assert b" 200 OK\r\n" in server.post_late("/echo", (b"q=harmless",), pause, *headers)
