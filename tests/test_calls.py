"""What an ordinary request costs, in calls of Python functions, which no other load of the machine changes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import metlo_otel
from benchmarks.apps import asgi_call, fastapi_app, flask_app, wsgi_call
from metlo_otel.agent import _AGENTS, Agent
from metlo_otel.testing import MemoryCollector

OURS = str(Path(metlo_otel.__file__).parent)
# Calls of our functions, and of C functions by them, for a POST of 2 KB: measured, and a tenth more.
CEILINGS = {"flask": (61, 70), "fastapi": (61, 66)}
TOGETHER = 64  # requests: sixteen of them are searched at once
Call = Callable[[], None]


@pytest.fixture
def collector() -> Iterator[MemoryCollector]:
    """A collector that takes aggregates."""
    with MemoryCollector({"aggregates": True}) as made:
        yield made


def _calls(call: Call, times: int = 1) -> tuple[int, int]:
    """How often functions of ours are called, and C functions by these, in this thread, a call."""
    python = builtin = 0

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal python, builtin
        if frame.f_code.co_filename.startswith(OURS):
            python += event == "call"
            builtin += event == "c_call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for _ in range(times):
            call()
    finally:
        sys.setprofile(before)
    return python // times, builtin // times


def _ready(known: set[Agent], call: Call, collector: MemoryCollector) -> Agent:
    """The agent of the app, once it knows that the collector takes aggregates, and its sample of a second is told."""
    (agent,) = set(_AGENTS) - known
    call()
    deadline = time.monotonic() + 10
    while not collector.aggregates and time.monotonic() < deadline:
        agent.flush(1)
        call()
    for _ in range(200):
        call()
    watch = agent._pipeline._watch
    assert watch is not None
    vars(watch)["tick"] = lambda: None  # no other second begins, in which a sample were told
    watch._left = watch._first_left = 0
    return agent


@pytest.mark.parametrize("framework", CEILINGS)
def test_an_ordinary_request_takes_few_calls(framework: str, collector: MemoryCollector) -> None:
    """Whoever lets it take more has to say so here: from its arrival to its being counted, in the request's thread."""
    known = set(_AGENTS)
    options = {"host": collector.url, "api_key": collector.api_key, "config_cache": "off"}
    if framework == "flask":
        call = wsgi_call(flask_app("metlo", options), "POST")
        agent = _ready(known, call, collector)
        found = _calls(call, TOGETHER)
    else:
        loop = asyncio.new_event_loop()
        call = asgi_call(fastapi_app("metlo", options), "POST", loop)
        call()
        agent = _ready(known, call, collector)
        found = _calls(call, TOGETHER)
        loop.close()
    agent.shutdown()
    most = CEILINGS[framework]
    assert found[0] <= most[0]
    assert found[1] <= most[1]


def test_the_worker_does_nothing_for_a_request_that_is_only_counted(collector: MemoryCollector) -> None:
    """A thousand requests more cost the worker no call more."""
    known = set(_AGENTS)
    options = {"host": collector.url, "api_key": collector.api_key, "config_cache": "off"}
    call = wsgi_call(flask_app("metlo", options), "POST")
    agent = _ready(known, call, collector)
    exporter = agent._pipeline._exporter

    def send() -> None:
        exporter.send_aggregates()

    agent.flush(5)
    costs = []
    for requests in (10, 300):
        for _ in range(requests):
            call()
        costs.append(_calls(send)[0])
    agent.shutdown()
    assert costs[1] <= costs[0] + 40, costs
