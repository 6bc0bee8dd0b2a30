"""The way out: what arrives at a collector, and what happens when it does not take it."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.exchange import Verdict
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.core.processed import Processed, Session
from metlo_otel.export import pipeline as pipelines
from metlo_otel.export.ending import Ending
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.export.tracing import Seams
from metlo_otel.exporter import open_pipeline
from tests.export.conftest import KEY
from tests.export.exchanges import wsgi_exchange
from tests.export.loopback import GARBAGE, HANG, OK, Metlo

ROOT = Path(__file__).parents[2]
Make = Callable[..., Pipeline]


def test_exchanges_arrive_with_key_and_compressed(pipeline: Make, metlo: Metlo) -> None:
    """What is put arrives as one JSON array, with the key as it is, gzip, over one kept connection."""
    way = pipeline()
    for number in range(20):
        way.put(wsgi_exchange(PATH_INFO=f"/item/{number}"))
    assert way.flush(10)
    way.put(wsgi_exchange(PATH_INFO="/later"))
    assert way.flush(10)
    paths = [trace["request"]["url"]["path"] for trace in metlo.traces()]
    assert paths == [f"/item/{number}" for number in range(20)] + ["/later"]
    assert {headers["Authorization"] for headers in metlo.headers} == {KEY}
    assert {headers["Content-Type"] for headers in metlo.headers} == {"application/json"}
    assert metlo.headers[0]["Content-Encoding"] == "gzip"
    assert metlo.connections == 1
    stats = way.stats()
    assert (stats.captured, stats.sent, dict(stats.dropped), stats.queue_items) == (21, 21, {}, 0)
    assert stats.worker_cpu_seconds > 0


def test_nothing_starts_before_the_first_exchange(pipeline: Make, metlo: Metlo) -> None:
    """Making a pipeline opens no connection and starts no thread."""
    way = pipeline()
    assert way.idle
    assert way.flush(0)
    assert metlo.connections == 0


@pytest.mark.parametrize("answer", [(500, {}, b"no"), (429, {"Retry-After": "0"}, b""), GARBAGE, (503, {}, b"<html>")])
def test_what_fails_for_now_is_tried_again(
    pipeline: Make, metlo: Metlo, answer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """5xx, 429 and answers that are no HTTP lose nothing and cost one line in the log, without the key."""
    monkeypatch.setattr("metlo_otel.export.delivery._FIRST_WAIT", 0.01)
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        metlo.answers.put(answer)
    way = pipeline()
    way.put(wsgi_exchange())
    assert way.flush(10)
    assert len(metlo.next_batch()) == 1
    stats = way.stats()
    assert (stats.sent, stats.retried, dict(stats.dropped)) == (1, 3, {})
    lines = [record.getMessage() for record in caplog.records if record.name == "metlo_otel"]
    assert len([line for line in lines if "takes no traces" in line]) == 1
    assert len([line for line in lines if "takes traces again" in line]) == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize(("status", "word"), [(401, "API_KEY"), (400, "dropped"), (302, "dropped")])
def test_what_is_refused_is_dropped_and_counted(
    pipeline: Make, metlo: Metlo, status: int, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    """4xx and redirects, which are never followed, drop the batch: counted, one line in the log, without the key."""
    metlo.always = (status, {"Location": metlo.url + "/elsewhere"}, b"no")
    way = pipeline()
    for _ in range(3):
        way.put(wsgi_exchange())
        way.flush(10)
    assert dict(way.stats().dropped) == {"refused": 3}
    lines = [record.getMessage() for record in caplog.records if record.name == "metlo_otel"]
    assert len(lines) == 1
    assert word in lines[0]
    assert KEY not in caplog.text


def test_retry_after_is_honoured(pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker waits as long as Retry-After says, in seconds or as a date, at most five minutes."""
    waits: list[float] = []

    def pause(_self: Pipeline, seconds: float) -> bool:
        waits.append(seconds)
        return True

    monkeypatch.setattr(Pipeline, "_pause", pause)
    for value in ("7", formatdate(), "9999999999999", "nonsense", "-3"):
        metlo.answers.put((429, {"Retry-After": value}, b""))
    way = pipeline()
    way.put(wsgi_exchange())
    assert way.flush(10)
    assert [round(wait) for wait in (waits[0] / 10, waits[1])] == [1, 0]
    assert 7 <= waits[0] <= 7 * 1.3
    assert 300 <= waits[2] <= 300 * 1.3
    assert all(wait < 60 for wait in waits[3:])


def test_a_collector_down_at_start_is_retried_until_it_is_up(
    settings: Callable[..., Any], pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost when the collector comes later than the app."""
    monkeypatch.setattr("metlo_otel.export.delivery._FIRST_WAIT", 0.02)
    port = metlo.port
    metlo.close()
    way = pipeline()
    way.put(wsgi_exchange())
    assert not way.flush(0.3)
    late = Metlo(port)
    try:
        assert len(late.next_batch()) == 1
        assert way.flush(5)
    finally:
        late.close()
    assert way.stats().retried > 0


def test_a_hanging_collector_costs_neither_time_nor_memory(pipeline: Make, metlo: Metlo) -> None:
    """While the collector hangs, puts go on, the queue keeps its bounds, the oldest leave, flush keeps its deadline."""
    metlo.always = HANG
    way = pipeline(max_queue_bytes=100_000)
    way.put(wsgi_exchange())
    assert metlo.tried.acquire(timeout=10)
    for number in range(200):
        way.put(wsgi_exchange(answer=b"x" * 1000, PATH_INFO=f"/{number}"))
    stats = way.stats()
    assert 0 < stats.queue_bytes <= 100_000
    assert stats.dropped["queue_full"] == 1 + 200 - stats.queue_items
    assert not way.flush(0.1)
    assert not way.shutdown(0.1)
    assert way.stats().queue_items == 0
    assert way.stats().dropped["undelivered"] == stats.queue_items


def lost(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of dropped exchanges."""
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "metlo_otel"]
    return [line for level, line in lines if level == "WARNING" and "dropped because" in line.replace(" so far", "")]


def test_what_is_undelivered_at_the_end_is_said(pipeline: Make, metlo: Metlo, caplog: pytest.LogCaptureFixture) -> None:
    """One line with the number, of what waits and what is on its way; another of what comes after the end."""
    metlo.always = HANG
    way = pipeline()
    way.put(wsgi_exchange())
    assert metlo.tried.acquire(timeout=10)
    way.put(wsgi_exchange())
    way.put(wsgi_exchange())
    assert not way.shutdown(0.1)
    told = ["3 exchanges were dropped because not taken by the collector before the agent's end"]
    assert lost(caplog) == told
    way.put(wsgi_exchange())
    assert lost(caplog) == told  # nothing in a request
    way.close()
    way.close()
    assert lost(caplog) == [*told, "1 exchange was dropped because closed after the agent's end"]


def test_an_end_without_losses_says_nothing(pipeline: Make, metlo: Metlo, caplog: pytest.LogCaptureFixture) -> None:
    """Where all was taken there is nothing to say."""
    way = pipeline()
    way.put(wsgi_exchange())
    assert way.shutdown(10)
    assert lost(caplog) == []


def test_a_full_queue_is_said_by_the_worker(
    pipeline: Make, metlo: Metlo, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, then at most once a minute with the number so far, and the rest at the end; never in a request."""
    way = pipeline(max_queue_exchanges=2)
    monkeypatch.setattr(way, "start", lambda: None)
    for _ in range(5):
        way.put(wsgi_exchange())
    assert lost(caplog) == []
    monkeypatch.undo()
    way.start()
    assert way.flush(10)
    why = "dropped so far because the queue was full (MAX_QUEUE_EXCHANGES, MAX_QUEUE_BYTES)"
    assert lost(caplog) == [f"3 exchanges were {why}"]
    way.counters.drop("queue_full", 4)
    way._keep_up()
    assert lost(caplog) == [f"3 exchanges were {why}"]
    monkeypatch.setattr("metlo_otel.export.losses._EVERY", 0.0)
    way._keep_up()
    way._keep_up()
    assert lost(caplog) == [f"3 exchanges were {why}", f"7 exchanges were {why}"]
    way.counters.drop("queue_full", 1)
    monkeypatch.undo()
    way.shutdown(10)
    assert lost(caplog)[2:] == [f"8 exchanges were {why}"]


def test_an_exchange_larger_than_the_queue_pushes_nobody_out(pipeline: Make, metlo: Metlo) -> None:
    """One exchange that can never fit is dropped itself."""
    way = pipeline(max_queue_bytes=10_000)
    way.put(wsgi_exchange())
    way.put(wsgi_exchange(answer=b"x" * 50_000, max_body=100_000))
    assert way.flush(10)
    assert (way.stats().sent, dict(way.stats().dropped)) == (1, {"queue_full": 1})


def test_large_batches_are_split(pipeline: Make, metlo: Metlo) -> None:
    """No POST holds more than 2 MiB of JSON (the collector checks), whatever the bodies are."""
    way = pipeline(max_body=400_000)
    for _ in range(12):
        way.put(wsgi_exchange(answer=b'"' + b"\\u" * 190_000, max_body=400_000))
    assert way.flush(20)
    assert len(metlo.traces()) == 12
    assert len(metlo.headers) > 2


def test_a_trace_too_large_leaves_without_its_bodies(pipeline: Make, metlo: Metlo) -> None:
    """What does not fit into a POST at all keeps its outline and its true size."""
    way = pipeline(max_body=4_000_000)
    way.put(wsgi_exchange(answer=b"x" * 3_000_000, max_body=4_000_000))
    assert way.flush(20)
    (trace,) = metlo.traces()
    assert trace["response"]["body"] == ""
    assert trace["meta"]["responseBodySize"] == 3_000_000
    assert trace["meta"]["responseBodyTruncated"] is True


def test_too_large_for_the_collector_is_halved(pipeline: Make, metlo: Metlo) -> None:
    """413 splits the batch; what is refused alone is dropped."""
    for _ in range(2):
        metlo.answers.put((413, {}, b""))
    metlo.answers.put(OK)
    way = pipeline()
    for number in range(4):
        way.put(wsgi_exchange(PATH_INFO=f"/{number}"))
    assert way.flush(10)
    assert [trace["request"]["url"]["path"] for trace in metlo.traces()] == ["/0", "/1", "/2", "/3"]
    metlo.always = (413, {}, b"")
    way.put(wsgi_exchange())
    way.flush(10)
    assert dict(way.stats().dropped) == {"too_large": 1}


class Bomb:
    """A request that fails whoever reads it."""

    held = 10

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("secret content")


def test_one_bad_exchange_costs_only_itself(pipeline: Make, metlo: Metlo, caplog: pytest.LogCaptureFixture) -> None:
    """An exchange that cannot be read is dropped and counted; its neighbours arrive; its content is not in the log."""
    way = pipeline()
    bad = wsgi_exchange()
    bad.request = Bomb()
    for item in (wsgi_exchange(), bad, wsgi_exchange()):
        way.put(item)
    assert way.flush(10)
    assert (way.stats().sent, dict(way.stats().dropped)) == (2, {"failed": 1})
    assert "secret content" not in caplog.text
    way.put(object())  # type: ignore[arg-type]  # put never raises
    assert way.stats().dropped["failed"] == 2


def test_blocked_and_excluded_exchanges(pipeline: Make, metlo: Metlo) -> None:
    """A rejected exchange is counted as blocked; one that is not to be captured is not sent."""
    way = pipeline()
    first, second = wsgi_exchange(), wsgi_exchange()
    first.verdict = second.verdict = Verdict(True, "rule-1", ("bot",))
    second.captured = False
    way.put(first)
    way.put(second)
    assert way.flush(10)
    (trace,) = metlo.traces()
    assert trace["processedTraceData"]["block"] is True
    assert trace["processedTraceData"]["requestTags"] == ["bot"]
    assert (way.stats().captured, way.stats().blocked) == (1, 2)


def test_the_examination_sees_what_the_trace_hides(pipeline: Make, metlo: Metlo) -> None:
    """Analysis and session get the record before it is masked; the trace holds their answers and no masked value."""
    seen: list[bytes] = []

    def analyse(record: Any, _config: Any) -> Processed:
        seen.append(record.request.body)
        return Processed(data_types={"reqBody.password": ["string"]})

    way = pipeline(Seams(analyse, lambda record, _: Session(True, True, "header", "hash", "u7")))
    way.put(wsgi_exchange(b'{"password": "hunter2"}', CONTENT_TYPE="application/json", HTTP_AUTHORIZATION="s3cr3t"))
    assert way.flush(10)
    assert seen == [b'{"password": "hunter2"}']
    (trace,) = metlo.traces()
    assert "hunter2" not in str(trace)
    assert "s3cr3t" not in str(trace)
    assert trace["request"]["body"] == '{"password": "[masked]"}'
    assert trace["processedTraceData"]["dataTypes"] == {"reqBody.password": ["string"]}
    assert trace["sessionMeta"]["uniqueSessionKey"] == "hash"
    assert trace["sessionMeta"]["user"] == "u7"


def test_the_configuration_is_in_force_before_the_first_trace(pipeline: Make, metlo: Metlo) -> None:
    """The worker asks for the configuration first, tells of the change, and traces follow it."""
    metlo.config = {"hostBlockList": ["^shop"]}
    changes: list[Any] = []
    way = pipeline(on_change=changes.append)
    way.put(wsgi_exchange())
    way.put(wsgi_exchange(HTTP_HOST="other.example"))
    assert way.flush(10)
    (trace,) = metlo.traces()
    assert trace["redacted"] is True
    assert dict(way.stats().dropped) == {"host_blocked": 1}
    assert changes == [way.config]


def test_a_backend_that_fails_keeps_no_trace_back(pipeline: Make, metlo: Metlo) -> None:
    """Without a configuration traces leave redacted."""
    metlo.config_answer = (500, {}, b"")
    way = pipeline()
    way.put(wsgi_exchange())
    assert way.flush(10)
    assert metlo.next_batch()[0]["redacted"] is True


def test_the_worker_is_in_nobodys_traces(pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation is suppressed in the thread, for every library that asks the context."""
    seen: list[Any] = []

    def analyse(_record: Any, _config: Any) -> Processed:
        seen.append(context.get_value("suppress_instrumentation"))
        return Processed()

    way = pipeline(Seams(analyse))
    way.put(wsgi_exchange())
    assert way.flush(10)
    assert seen == [True]


def test_pipelines_that_are_gone_are_gone(pipeline: Make, metlo: Metlo, settings: Any, log: Any) -> None:
    """Neither the metrics nor the exit or fork hooks keep a pipeline alive."""
    way = pipelines.Pipeline(settings(), pipeline()._exporter)
    kept = weakref.ref(way)
    del way
    gc.collect()
    assert kept() is None


def test_garbage_is_collected_while_something_is_locked(pipeline: Make, metlo: Metlo) -> None:
    """An exchange that nobody closed is reported, and blocks nobody, even where that is collected under our locks."""
    way = pipeline()
    thread = threading.Thread(target=_put_and_collect, args=(way, 50), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert way.flush(10)
    assert (way.stats().captured, dict(way.stats().dropped)) == (100, {})


def _put_and_collect(way: Pipeline, times: int) -> None:
    """Put and ask for numbers, so often that the collection comes at each of the objects made meanwhile."""
    usual = gc.get_threshold()
    try:
        for number in range(times):
            gc.disable()
            _drop(way)
            another = wsgi_exchange()
            gc.set_threshold(gc.get_count()[0] + number)
            gc.enable()
            way.put(another)
            way.stats()
            gc.set_threshold(*usual)
    finally:
        gc.set_threshold(*usual)
        gc.enable()
        gc.collect()


def _drop(way: Pipeline) -> None:
    dropped = wsgi_exchange()
    dropped.on_close = way.put
    circle: list[Any] = [dropped]
    circle.append(circle)


def test_an_app_may_look_at_all_objects_meanwhile(pipeline: Make, metlo: Metlo, settings: Any) -> None:
    """No exchange is lost where the app, or a debugging tool in it, asks the garbage collector for every object.

    CPython 3.13 and older cannot finish a tuple(<generator>) that somebody else has got hold of so.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look_at_all_objects, args=(ended,))
    thread.start()
    ways = [pipeline(Seams(Inspection(settings(), pytest.fail).analyse)) for _ in range(10)]
    try:
        for way in ways:
            way.put(wsgi_exchange())
        assert all(way.flush(20) for way in ways)
    finally:
        ended.set()
        thread.join()
    assert [dict(way.stats().dropped) for way in ways] == [{}] * 10


def _look_at_all_objects(ended: threading.Event) -> None:
    while not ended.is_set():
        found = gc.get_objects()
        del found


def run(script: str, metlo: Metlo, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with settings for the collector in its environment."""
    variables = {**os.environ, "METLO_HOST": metlo.url, "METLO_KEY": KEY, "PYTHONPATH": str(ROOT), **environ}
    begin = """
        import os, sys, logging
        from metlo_otel.core.guard import RateLimitedLog
        from metlo_otel.core.settings import read_settings
        from metlo_otel.exporter import open_pipeline
        from tests.export.exchanges import wsgi_exchange
        way = open_pipeline(read_settings({}), RateLimitedLog(logging.getLogger("metlo_otel")))
    """
    code = textwrap.dedent(begin) + textwrap.dedent(script)
    forking = "-Wignore:This process (pid:DeprecationWarning"  # Python 3.12 says so of every fork beside a thread
    return subprocess.run(
        [sys.executable, forking, "-c", code], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_is_queued_leaves_at_exit(metlo: Metlo) -> None:
    """A process that ends right after its last request loses nothing."""
    done = run("way.put(wsgi_exchange(PATH_INFO='/last'))", metlo)
    assert (done.returncode, done.stderr) == (0, "")
    assert [trace["request"]["url"]["path"] for trace in metlo.traces()] == ["/last"]


def test_exit_does_not_wait_for_a_hanging_collector(metlo: Metlo) -> None:
    """A collector that hangs holds the process's end for less than a second, however many agents there are."""
    metlo.always = HANG
    script = """
        import atexit, time
        ended = []
        def report():  # registered again below so that it runs last
            print(time.monotonic() - ended[0])
        from metlo_otel.export.ending import ending
        atexit.unregister(ending.end)
        atexit.register(report)
        atexit.register(ending.end)
        logs = [RateLimitedLog(logging.getLogger("metlo_otel")) for _ in range(2)]
        ways = [way, *[open_pipeline(read_settings({}), log) for log in logs]]
        for each in ways:
            each.put(wsgi_exchange())
        ended.append(time.monotonic())
    """
    done = run(script, metlo)
    lost = "1 exchange was dropped because not taken by the collector before the agent's end\n"
    assert (done.returncode, done.stderr) == (0, lost * 3)
    assert float(done.stdout) < 2.5


def test_a_forked_child_sends_its_own(metlo: Metlo) -> None:
    """After a fork, with the worker running or not, the child sends what it puts, once, and counts from zero."""
    script = """
        way.put(wsgi_exchange(PATH_INFO="/before"))
        assert way.flush(10)
        way.put(wsgi_exchange(PATH_INFO="/parent"))
        child = os.fork()
        if child == 0:
            assert way.stats().captured == 0 and way.stats().queue_items == 0
            way.put(wsgi_exchange(PATH_INFO="/child"))
            assert way.flush(10)
            assert way.stats().sent == 1
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert way.flush(10)
    """
    done = run(script, metlo)
    assert (done.returncode, done.stderr) == (0, "")
    paths = sorted(trace["request"]["url"]["path"] for trace in metlo.traces())
    assert paths == ["/before", "/child", "/parent"]


def test_many_forks_under_load_never_hang(metlo: Metlo) -> None:
    """Locks that a thread of the parent holds at the fork hold nobody in the child."""
    script = """
        import faulthandler, threading
        stop = threading.Event()
        def load():
            while not stop.is_set():
                way.put(wsgi_exchange())
        threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
        [thread.start() for thread in threads]
        for _ in range(20):
            child = os.fork()
            if child == 0:
                way.put(wsgi_exchange())
                faulthandler.dump_traceback_later(9)  # so that a failure says what hangs; as a rule 0.3 s will do
                os._exit(0 if way.flush(10) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
    """
    done = run(script, metlo)
    assert done.returncode == 0, done.stderr


def test_what_follows_a_quiet_second_is_sent_soon(
    pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends without a word to us loses little: the first that waits does not wait for a second."""
    monkeypatch.setattr(pipelines, "EVERY", 3600.0)
    way = pipeline()
    for _ in range(3):
        way.put(wsgi_exchange())
        assert len(metlo.next_batch()) == 1


def test_few_batches_while_exchanges_trickle_in(pipeline: Make, metlo: Metlo) -> None:
    """Few requests at a time do not make a POST each: what comes meanwhile goes with the next batch."""
    way = pipeline()
    way.put(wsgi_exchange())
    assert len(metlo.next_batch()) == 1
    for _ in range(30):
        way.put(wsgi_exchange())
        threading.Event().wait(0.02)  # the pace of requests, not something awaited
    assert way.flush(10)
    batches = []
    while not metlo.posts.empty():
        batches.append(len(metlo.posts.get()))
    assert sum(batches) == 30
    assert len(batches) <= 6  # after 50, 100, 200 and 400 ms, a second, and the flush


def test_what_is_due_every_second_is_done_while_the_collector_is_down(
    settings: Callable[..., Any], log: RateLimitedLog, metlo: Metlo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rules file is read again and long streams end, however long a batch waits for its next try."""
    monkeypatch.setattr(pipelines, "EVERY", 0.01)
    metlo.always = (503, {"Retry-After": "300"}, b"")
    ticks = threading.Semaphore(0)
    way = open_pipeline(settings(), log, tick=ticks.release)
    way.put(wsgi_exchange())
    assert metlo.tried.acquire(timeout=10)
    for _ in range(20):
        assert ticks.acquire(timeout=10)
    assert way.stats().queue_items == 1  # it is on its way
    assert way.stats().sent == 0
    way.shutdown(0)


def test_an_answer_that_breaks_off_after_its_status_is_an_answer(
    pipeline: Make, metlo: Metlo, caplog: pytest.LogCaptureFixture
) -> None:
    """The collector has said 200: the batch is taken, whatever becomes of the rest of the answer."""
    metlo.always = (200, {"Content-Length": "10", "Connection": "close"}, b"OK")
    way = pipeline()
    way.put(wsgi_exchange())
    assert way.flush(10)
    assert (way.stats().sent, dict(way.stats().dropped)) == (1, {})
    assert "failed" not in caplog.text


def test_who_waited_in_vain_at_the_end_is_not_made_to_wait_again(
    pipeline: Make, metlo: Metlo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's shutdown and the process's exit share one time limit, and so do all agents."""
    metlo.always = HANG
    end = Ending()
    for _ in range(3):
        way = pipeline()
        end.watch(way)
        way.put(wsgi_exchange())
    began = time.monotonic()
    assert not end.finish()
    once = time.monotonic() - began
    assert 0.5 < once < 2
    assert not end.finish()
    assert time.monotonic() - began - once < 0.2


def test_what_is_due_every_second_is_done_under_constant_load(
    settings: Callable[..., Any], log: RateLimitedLog, metlo: Metlo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the queue never gets empty, a rules file is read again all the same."""
    monkeypatch.setattr(pipelines, "EVERY", 0.01)
    monkeypatch.setattr(pipelines, "FULL", 5)
    ticks = threading.Semaphore(0)
    way = open_pipeline(settings(), log, tick=ticks.release)
    monkeypatch.setattr(Pipeline, "_is_full", lambda _self: True)
    monkeypatch.setattr(way._queue, "take", lambda _most, _bytes: [wsgi_exchange()])
    way.start()
    for _ in range(20):
        assert ticks.acquire(timeout=10)
    monkeypatch.undo()
    way.shutdown(0)
