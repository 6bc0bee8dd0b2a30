"""The end of a Django response, heard where Django itself tells the request of it; streams, noted as they pass."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from metlo_otel.capture.copies import as_itself
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.guard import Guard


class Ending:
    """Stands in the place of `request.close`, which Django hangs onto the response that it sends, and calls at its end.

    So nothing of ours is on a response, which apps pickle into caches and copy, and a middleware outside of ours may
    put another in its place. A request that is pickled or copied in depth has its own `close` again.
    """

    __slots__ = ("_close", "_content", "_guard", "_response", "exchange", "request")

    def __init__(self, request: Any, exchange: Exchange, guard: Guard) -> None:
        self.request = request
        self.exchange = exchange
        self._guard = guard
        self._close: Callable[[], object] = request.close
        self._response: Any = None  # as it left our middleware, until its end
        self._content: bytes | None = None

    def listen(self) -> None:
        """From now on the request's end is heard."""
        self.request.close = self

    def note(self, response: Any) -> None:
        """The response leaves our middleware: note what is known now, and what will pass."""
        self._response = response
        exchange = self.exchange
        exchange.status = response.status_code
        exchange.response_headers = items(response)
        if response.streaming:
            exchange.response_headers = headers(response)
            tee = AsyncTee if response.is_async else Tee
            response._iterator = tee(
                response._iterator, self
            )  # setting streaming_content has a FileResponse forget its file
        else:
            self._note_content(response)

    def passed(self, chunk: Any) -> Any:
        """Note a chunk of a stream; the bytes that Django makes of it, which it does once."""
        if type(chunk) is not bytes and self._response is not None:
            chunk = self._response.make_bytes(chunk)
        self._guard.run(self._note_chunk, chunk)
        return chunk

    def _note_chunk(self, chunk: bytes) -> None:
        if self.exchange.request.method != "HEAD":
            self.exchange.response_body.add(chunk)

    def over(self) -> None:
        """The stream has ended, or broken: that is the response's end too, as nobody may close it."""
        self._guard.run(self._end, self._response)

    def gone(self) -> None:
        """There is no response; the exchange is closed as it stands."""
        vars(self.request).pop("close", None)
        self.exchange.close()

    def __call__(self) -> None:
        """The response was closed, or an app closes its request itself, before there is one."""
        if self._response is not None:
            self._guard.run(self._closed, sys._getframe(1))
        self._close()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, str]]:
        return getattr, (self.request, "close")  # while it is being made anew it has only its class's own

    def _closed(self, caller: FrameType) -> None:
        self._end(self._sent(caller))
        vars(self.request).pop("close", None)  # what would keep the two alive until Python looks for cycles

    def _sent(self, caller: FrameType) -> Any:
        """The response that is sent: who calls this, where a middleware outside has put it in the place of ours."""
        noted = self._response
        if any(closer is self for closer in noted._resource_closers):
            return noted
        found = caller.f_locals.get("self")
        return found if hasattr(found, "status_code") else noted

    def _end(self, response: Any) -> None:
        self._response = None
        exchange = self.exchange
        if response is None or exchange.on_close is None:
            return
        exchange.status = response.status_code
        exchange.response_headers = headers(response)
        try:
            if not response.streaming:
                self._note_content(response)
        finally:
            exchange.close()

    def _note_content(self, response: Any) -> None:
        """The body; to HEAD there is none, whatever the view has made. Noted anew where it was changed further out."""
        if self.exchange.request.method == "HEAD" or not getattr(response, "is_rendered", True):
            return
        content = response.content
        if content != self._content:
            if self._content is not None:
                self.exchange.response_body = Body(self.exchange.response_body.limit)
            self._content = content
            self.exchange.response_body.add(content)


class Tee:
    """A stream's iterator, each chunk noted and handed on. Copied or pickled, it is what it stands for."""

    __slots__ = ("_ending", "_next", "_stream")

    def __init__(self, stream: Iterator[Any], ending: Ending) -> None:
        self._stream = stream
        self._next = iter(stream).__next__
        self._ending = ending

    def __iter__(self) -> Tee:
        return self

    def __next__(self) -> Any:
        try:
            return self._ending.passed(self._next())
        except BaseException:
            self._ending.over()
            raise

    def __reduce__(self) -> Any:
        return as_itself(self._stream)


class AsyncTee:
    """As Tee, of an async stream."""

    __slots__ = ("_ending", "_next", "_stream")

    def __init__(self, stream: AsyncIterator[Any], ending: Ending) -> None:
        self._stream = stream
        self._next = aiter(stream).__anext__
        self._ending = ending

    def __aiter__(self) -> AsyncTee:
        return self

    async def __anext__(self) -> Any:
        try:
            return self._ending.passed(await self._next())
        except BaseException:
            self._ending.over()
            raise

    def __reduce__(self) -> Any:
        return as_itself(self._stream)


def route(request: Any) -> str | None:
    """The whole path template: what mounts the app (SCRIPT_NAME, FORCE_SCRIPT_NAME, root_path) before its own route."""
    match = request.resolver_match
    own = match.route if match is not None else None
    if own is None:
        return None
    scope = getattr(request, "scope", None)  # whose path is told; before Django 5 the request's own may be another
    path, within = request.path if scope is None else scope["path"], request.path_info
    mount = path[: -len(within)] if within and path.endswith(within) else ""
    return f"{mount.rstrip('/')}/{own}" if mount else str(own)


def headers(response: Any) -> list[tuple[str, str]]:
    """All headers of a response, its cookies among them."""
    found = list(items(response))
    if response.cookies:
        found += [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    return found


def items(response: Any) -> Iterable[tuple[str, str]]:
    """The headers; from where Django keeps them, if that is what it sends: items() takes 100 steps for two headers."""
    store = getattr(response.headers, "_store", None)
    if type(store) is dict and type(response).items.__module__ == "django.http.response":
        return store.values()
    found: Iterable[tuple[str, str]] = response.items()
    return found
