"""Reading the messages of an ASGI request ahead of the app, within a time; the app gets them exactly as they came."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from contextvars import copy_context
from typing import Any, Protocol

from metlo_otel.capture.asgi_types import Message, Receive
from metlo_otel.capture.copies import as_itself
from metlo_otel.core.exchange import Body
from metlo_otel.core.request import Request

_MOST_END = 1.0  # seconds that a server's `receive` may take to end once it is cancelled


class Replaying:
    """`receive`, with what was read ahead in front: messages, what was raised in a message's place, what is awaited.

    What is read ahead is noted in `body`, as bytes that will pass again. `given` is what the app receives with.
    """

    def __init__(self, receive: Receive, body: Body) -> None:
        self.given: Receive = self
        self._receive = receive
        self._body = body
        self._read: deque[_Reading] = deque()
        self._awaited: _Reading | None = None

    def __reduce__(self) -> Any:
        return as_itself(self._receive)  # copied with the receive that an app has, it is the server's own

    async def ahead(self, limit: int, seconds: float) -> bool:
        """Read until `limit` bytes of body are there, or its end; whether that was within `seconds`.

        A loop that is neither asyncio's nor Trio's has no clock that we know: nothing is read.
        """
        deadline = time.monotonic() + seconds
        while True:
            reading = self._awaited = _reading(self._receive)
            if reading is None or await reading.within(deadline - time.monotonic()) is not True:
                return False
            self._awaited = None
            self._read.append(reading)
            if self._more_after(reading) is not True or self._body.size >= limit:
                return True

    def _more_after(self, reading: _Reading) -> bool:
        """Note what was read; whether more of the body is to come."""
        if reading.raised is not None:
            return False
        message = reading.message
        body, before = message.get("body"), self._body.size
        if body:
            self._body.add(body)
            self._body.again += self._body.size - before
        return message["type"] == "http.request" and bool(message.get("more_body"))

    async def __call__(self) -> Message:
        if self._read:
            return self._read.popleft().result()
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return await self._receive()
        try:
            return await awaited.wait()
        except BaseException:
            if not awaited.done:  # the app no longer waits: whoever asks next gets it
                self._awaited = awaited
            raise

    async def end(self) -> None:
        """The request is over: nobody waits for its messages any more."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            await awaited.end()


class _Reading(Protocol):
    """One call of `receive`, in a task of its own: who waits for it may stop doing so, and no message is lost."""

    message: Message
    raised: BaseException | None

    @property
    def done(self) -> bool: ...

    async def within(self, seconds: float) -> bool:
        """Wait for it so long; whether it is done."""

    async def wait(self) -> Message:
        """As result(), once it is done."""

    def result(self) -> Message:
        """Its message. Raises what `receive` raised."""

    async def end(self) -> None:
        """Cancel it."""


def _reading(receive: Receive) -> _Reading | None:
    """`receive`, called in the loop that runs here."""
    trio = sys.modules.get("trio")
    if trio is not None and _runs(trio.lowlevel.current_task):
        return _OnTrio(trio, receive)
    return _OnAsyncio(receive) if _runs(asyncio.get_running_loop) else None


def _runs(current: Any) -> bool:
    try:
        current()
    except RuntimeError:
        return False
    return True


class _Result:
    """What `receive` gave or raised."""

    message: Message
    raised: BaseException | None = None

    def result(self) -> Message:
        if self.raised is not None:
            raise self.raised
        return self.message


class _OnAsyncio(_Result):
    def __init__(self, receive: Receive) -> None:
        call = self._call(receive)
        if sys.version_info >= (3, 12):  # what has come already is there at once, without a turn of the loop
            self._task = asyncio.Task(call, loop=asyncio.get_running_loop(), eager_start=True)
        else:
            self._task = asyncio.get_running_loop().create_task(call)

    async def _call(self, receive: Receive) -> None:
        try:
            self.message = await receive()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # noqa: BLE001 - it is the app's, to which it is given
            self.raised = problem

    @property
    def done(self) -> bool:
        return self._task.done()

    async def within(self, seconds: float) -> bool:
        if not self._task.done():
            await asyncio.wait((self._task,), timeout=max(seconds, 0))
        return self._task.done()

    async def wait(self) -> Message:
        if not self._task.done():
            await asyncio.wait((self._task,))
        return self.result()

    async def end(self) -> None:
        if self._task.cancel():
            await asyncio.wait((self._task,), timeout=_MOST_END)


class _OnTrio(_Result):
    def __init__(self, trio: Any, receive: Receive) -> None:
        self._trio = trio
        self._scope = trio.CancelScope()
        self._done = trio.Event()
        trio.lowlevel.spawn_system_task(self._call, receive, context=copy_context())

    async def _call(self, receive: Receive) -> None:
        with self._scope:
            try:
                self.message = await receive()
            except self._trio.Cancelled:
                raise
            except BaseException as problem:  # noqa: BLE001 - it is the app's, to which it is given
                self.raised = problem
        self._done.set()

    @property
    def done(self) -> bool:
        return bool(self._done.is_set())

    async def within(self, seconds: float) -> bool:
        with self._trio.move_on_after(max(seconds, 0)):
            await self._done.wait()
        return self.done

    async def wait(self) -> Message:
        if not self.done:
            await self._done.wait()
        return self.result()

    async def end(self) -> None:
        self._scope.cancel()


def may_be_read(request: Request) -> bool | None:
    """Whether there may be a body to read ahead; None for one that its client sends only when it is asked to.

    In HTTP/2 and later a body need not be announced, and a server knows at once where there is none.
    """
    if any(value.lower() == "100-continue" for value in request.header("expect")):
        return None
    if request.protocol >= "2" or request.header("transfer-encoding"):
        return True
    return any(value.strip(" 0") for value in request.header("content-length"))


def uncounted(receive: Receive, body: Body) -> Replaying:
    """What reads ahead of `receive`, noting it in `body`.

    Had Starlette's limit for bodies counted what we read, a route's own higher limit would come too late: what is read
    ahead is taken from behind the limit, which then counts what the app reads.
    """
    limit: Any = getattr(receive, "__self__", None)
    behind = getattr(limit, "_receive", None)
    if type(limit).__name__ != "RequestBodyLimitResponder" or behind is None:
        return Replaying(receive, body)
    limit._receive = replaying = Replaying(behind, body)
    replaying.given = receive
    return replaying
