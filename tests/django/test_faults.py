"""Whichever function of ours fails while Django serves a request, or gives nonsense, the site answers as without us."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

import metlo_otel.capture.django as capture
import metlo_otel.django as way
from metlo_otel.agent import Agent
from metlo_otel.core.callbacks import Callbacks
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.judge import Judge
from metlo_otel.testing import MemoryCollector
from tests.contract.http import Answer, Call, get, post
from tests.django.site import OURS, Site, site
from tests.django.test_responses import chunks

CONFIG = {
    "RULES": [
        {"name": "closed", "block": True, "path": "/closed"},
        {"name": "body", "block": True, "body": {"contains": "no such thing"}},
    ],
    "GET_USER": lambda request: "u7",
}
# In these the app, or the server, itself is called: what they raise is not ours.
AROUND_THE_APP = {"__init__", "__call__", "_serve", "_serve_async", "__next__", "__anext__", "__iter__", "__aiter__"}
AROUND_THE_APP |= {"passed", "over", "__del__"}
AT_THE_START = {"_trace", "_agent", "ours", "check_settings", "_message"}
IN_THE_WORKER = {"_tick", "_end_long_streams", "configure", "tick", "flush", "shutdown", "stats"}


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, status=201, headers={"X-Echo": "1"})


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks() if hasattr(request, "scope") else iter([b"a", "b"]))


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the till is on fire")


urlpatterns = [path("echo", echo), path("streamed", streamed), path("boom", boom), path("closed", echo)]
CALLS = (post("/echo", b"0123456789"), get("/streamed"), get("/boom"), get("/missing"), Call("HEAD", "/echo"))


def functions() -> Iterator[tuple[Any, str]]:
    """Every function of ours that a request may run through, but for what is said above."""
    owners = [way.MetloDjango, capture.Ending, capture.Tee, capture.AsyncTee, Agent, Judge, Callbacks, Body, Exchange]
    for owner in [*owners, way, capture]:
        for name, thing in vars(owner).items():
            here = getattr(thing, "__module__", "").startswith("metlo_otel") and thing.__module__ == _module(owner)
            if isinstance(thing, FunctionType) and here and name not in AROUND_THE_APP | AT_THE_START | IN_THE_WORKER:
                yield owner, name


def _module(owner: Any) -> str:
    return str(owner.__name__ if inspect.ismodule(owner) else owner.__module__)


def raising(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError


def nonsense(*_: Any, **__: Any) -> Any:
    return object()


def awaited(fault: Callable[..., Any]) -> Callable[..., Any]:
    async def failing(*_: Any, **__: Any) -> Any:
        return fault()

    return failing


def essence(answer: Answer) -> tuple[Any, ...]:
    return answer.status, answer.headers, answer.pieces, answer.raised, answer.consumed


@pytest.mark.parametrize("fault", [raising, nonsense])
def test_function_that_fails(
    interface: str, collector: MemoryCollector, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are those without us, whichever it is; what a rule rejects may pass, never fail."""
    with site(interface, collector, __name__, []) as plain:
        expected = [essence(plain.serve(call)) for call in CALLS]
        passed = essence(plain.get("/closed"))
    walked = list(functions())
    assert len(walked) > 40
    with site(interface, collector, __name__, [OURS], CONFIG) as served:
        assert served.get("/closed").status == 403
        for owner, name in walked:
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, awaited(fault) if iscoroutinefunction(vars(owner)[name]) else fault)
                answers = _served(served)
                closed = served.get("/closed")
            assert answers == expected, (owner, name)
            assert closed.status == 403 or essence(closed) == passed, (owner, name)


def _served(served: Site) -> list[tuple[Any, ...]]:
    return [essence(served.serve(call)) for call in CALLS]


def test_decides_that_fails(interface: str, collector: MemoryCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, of what is a property."""
    with site(interface, collector, __name__, [OURS], CONFIG) as served:
        monkeypatch.setattr(Agent, "decides", property(raising))
        assert served.serve(post("/echo", b"1")).body == b"1"
