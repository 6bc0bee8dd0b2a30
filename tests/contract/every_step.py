"""Faults in every step of ours that a request takes, on every way in; the steps are found by watching requests."""

from __future__ import annotations

import gc
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import metlo_otel
from metlo_otel.capture import streams
from tests.contract.apps.script import SCRIPT
from tests.contract.http import Answer, Call, get, post, post_json
from tests.contract.shop import Shop

OURS = str(Path(metlo_otel.__file__).parent)
_NOT_OURS = (f"{OURS}/collector/", f"{OURS}/testing.py")
PATIENCE = 3.0  # seconds for all calls under one fault
HELD_UP = 0.01  # seconds that a step hangs, once a call

REJECTED = get("/users/7", ("X-Metlo-Test", "rejected"))
ATTACK = get("/echo?q=1%27%20OR%20%271%27%3D%271%27%20--%20")
LATE = post("/echo", b"q=1' OR '1'='1' -- ", "text/plain", ("Expect", "100-continue"))
LIMITED = get("/users/8", ("X-Metlo-Test", "limited"))
PASSING = (
    post_json("/json", {"a": 1}),
    get("/stream"),
    post("/raw", b"0123456789" * 10),
    post("/raw", b"0123456789" * 10, "text/plain", ("Expect", "100-continue")),
    get("/boom"),
    get("/late-boom"),
    get("/named"),
    get("/status/404"),
    get("/large/9000"),
    get("/file", sendfile=True),
    get("/stream", leaves_after=1),
    Call("HEAD", "/users/7"),
)
STOPPED = (REJECTED, ATTACK, LATE, LIMITED)

RULES = [
    {"id": "rejected", "name": "rejected", "block": True, "header": {"X-Metlo-Test": "rejected"}},
    {"id": "body", "name": "body", "block": True, "body": {"contains": "never said"}},
    {"id": "user", "name": "user", "block": True, "user": "nobody"},
    {"id": "tag", "name": "tag", "tag": "seen", "path": "*"},
]


class FaultError(Exception):
    """What goes wrong in our step."""


class Stuck(BaseException):
    """A call took too long; no guard catches this."""


def is_step(code: CodeType) -> bool:
    """Whether this is code of the agent."""
    name = code.co_filename
    return name.startswith(OURS) and not name.startswith(_NOT_OURS) and code.co_name not in ("__del__", "<module>")


def name_of(code: CodeType) -> str:
    """A step's name as the tests tell it: `judge.Judge.decide`."""
    module = code.co_filename[len(OURS) + 1 : -3].replace("/", ".")
    return f"{module}.{code.co_qualname}"  # type: ignore[attr-defined]  # from Python 3.11 on


@contextmanager
def profiled(watch: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Have `watch` see every call of this thread."""
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


@dataclass(frozen=True, slots=True)
class Step:
    """Code of ours, and the calls that take it."""

    code: CodeType
    calls: list[Call]


def steps_of(shop: Shop) -> dict[str, Step]:
    """Every step of ours that a request takes in its own thread, by name."""
    found: dict[str, Step] = {}
    for call in (*PASSING, *STOPPED):
        taken: set[CodeType] = set()

        def watch(frame: FrameType, event: str, _argument: Any, taken: set[CodeType] = taken) -> None:
            if event == "call" and is_step(frame.f_code):
                taken.add(frame.f_code)

        with profiled(watch):
            shop.serve(call)
        for code in taken:
            found.setdefault(name_of(code), Step(code, [])).calls.append(call)
    return found


class Tally:
    """Whether the step under test was taken."""

    def __init__(self) -> None:
        self.taken = 0


@contextmanager
def raising_once(code: CodeType, tally: Tally) -> Iterator[None]:
    """The first time that the step is taken, it raises."""

    def watch(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code is code:
            tally.taken += 1
            raise FaultError("content-of-the-request")

    with profiled(watch):
        yield


@contextmanager
def hanging(code: CodeType, tally: Tally) -> Iterator[None]:
    """The first time that the step is taken, it takes its time."""

    def watch(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code is code:
            if not tally.taken:
                time.sleep(HELD_UP)
            tally.taken += 1

    with profiled(watch):
        yield


def _raise(*_arguments: Any, **_options: Any) -> Any:
    raise ZeroDivisionError("content-of-the-request")


async def _raise_later(*_arguments: Any, **_options: Any) -> Any:
    raise ZeroDivisionError("content-of-the-request")


def _nonsense(*_arguments: Any, **_options: Any) -> Any:
    return ...


async def _nonsense_later(*_arguments: Any, **_options: Any) -> Any:
    return ...


def _nothing(*_arguments: Any, **_options: Any) -> Any:
    return None


async def _nothing_later(*_arguments: Any, **_options: Any) -> Any:
    return None


Replacement = tuple[FunctionType, FunctionType]  # for plain functions, for coroutine functions


@lru_cache(maxsize=4096)
def functions_of(code: CodeType) -> tuple[FunctionType, ...]:
    """The functions with this code; none for one within a function, which hold values of its own."""
    return tuple(each for each in gc.get_referrers(code) if isinstance(each, FunctionType) and not code.co_freevars)


def replacing(replacement: Replacement) -> Callable[[CodeType, Tally], Any]:
    """Whenever the step is taken, something else is done. A step within a function cannot be told apart, and is not."""

    @contextmanager
    def fault(code: CodeType, tally: Tally) -> Iterator[None]:
        found = functions_of(code)
        later = code.co_flags & 0x80  # CO_COROUTINE
        try:
            for function in found:
                function.__code__ = replacement[1 if later else 0].__code__
            tally.taken += len(found)
            yield
        finally:
            for function in found:
                function.__code__ = code

    return fault


FAULTS: dict[str, Callable[[CodeType, Tally], Any]] = {
    "raises once": raising_once,
    "raises always": replacing((_raise, _raise_later)),  # type: ignore[arg-type]  # functions, all four
    "hangs": hanging,
    "gives nonsense": replacing((_nonsense, _nonsense_later)),  # type: ignore[arg-type]
    "gives nothing": replacing((_nothing, _nothing_later)),  # type: ignore[arg-type]
}


@contextmanager
def bounded() -> Iterator[None]:
    """Nothing takes longer than PATIENCE."""

    def ring(_number: int, _frame: types.FrameType | None) -> None:
        raise Stuck

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def timeless(answer: Answer) -> Answer:
    """An answer without what tells of the file's age, which other runs may change."""
    kept = [each for each in answer.headers if each[0].lower() not in ("last-modified", "etag")]
    return replace(answer, headers=tuple(kept))


class Bench:
    """A shop whose answers are known: those of the app alone, and those to who is rejected."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._expected = {call: self._alone(call) for call in (*PASSING, *STOPPED)}
        self.steps = steps_of(shop)
        self._caches = [each for each in gc.get_objects() if type(each).__name__ == "_lru_cache_wrapper"]
        for call in STOPPED:
            assert shop.serve(call).status in (403, 429)

    def close(self) -> None:
        """End the agent and its collector."""
        self._shop.close()
        self._shop.collector.__exit__(None, None, None)

    def _alone(self, call: Call) -> tuple[Answer, list[str]]:
        SCRIPT.events.clear()
        return timeless(self._shop.way.serve(self._shop.plain, call)), SCRIPT.events.copy()

    def suffers(self, fault: str, step: str) -> str | None:
        """What an app or a client sees of the fault in this step; None where it sees nothing and we say something."""
        for cache in self._caches:  # which may remember nonsense
            if str(cache.__module__).startswith("metlo_otel"):
                cache.cache_clear()
        guards = self._shop.agent.guard, self._shop.agent._pipeline._exporter.guard, streams._GUARD
        before = sum(guard.failures for guard in guards)
        tally = Tally()
        try:
            with bounded():
                for call in self.steps[step].calls:
                    seen = self._differs(fault, step, call, tally)
                    if seen:
                        return f"{call.method} {call.target}: {seen}"
        except Stuck:
            return "hangs"
        noticed = sum(guard.failures for guard in guards) > before
        if fault == "raises once" and tally.taken and not noticed:
            return "is silent"
        return None

    def _differs(self, fault: str, step: str, call: Call, tally: Tally) -> str:
        self._shop.agent._pipeline.idle = True  # as in a process's first request
        SCRIPT.events.clear()
        try:
            with FAULTS[fault](self.steps[step].code, tally):
                answer = timeless(self._shop.serve(call))
        except Exception as problem:
            return f"raised {type(problem).__name__}"
        finally:
            sys.setprofile(None)
        alone, events = self._expected[call]
        if answer == alone and SCRIPT.events == events:
            return ""
        if call in STOPPED and answer.status in (403, 429) and answer.raised is None:
            return ""
        return f"{answer.status}, {answer.body[:40]!r}, {answer.raised}, {SCRIPT.events}"
