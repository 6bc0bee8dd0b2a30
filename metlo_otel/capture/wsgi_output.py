"""What a WSGI app returns, handed on: as it is where that tells all, else with a tee in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from metlo_otel.capture.gate import Gate
from metlo_otel.core.exchange import Exchange

_SWITCHING_PROTOCOLS = 101
_ENDLESS = 1 << 62


class TeeOutput:
    """A response's iterable: each chunk is noted and handed on at once. What it has else, this has too.

    It is iterated when the server does so: an iterator can be asked for once, and may raise when it is.
    """

    __slots__ = ("_body", "_exchange", "_exhausted", "_gate", "_next", "_result", "_whole")

    def __init__(self, result: Iterable[bytes], exchange: Exchange, gate: Gate) -> None:
        self._result = result
        self._exchange = exchange
        self._gate = gate
        self._body = exchange.response_body
        self._next: Callable[[], bytes] | None = None
        self._exhausted = False
        self._whole = -1  # bytes that the whole response has, which are looked up when the first chunk is there

    def __iter__(self) -> Iterator[bytes]:
        if self._exhausted:  # once more from the beginning, which is noted already
            return iter(self._result)
        if self._next is None:
            self._next = iter(self._result).__next__
        return self

    def __next__(self) -> bytes:
        if self._next is None:  # a generator may be asked for its chunks without iter()
            self._next = iter(self._result).__next__
        try:
            chunk = self._next()
        except StopIteration:
            self._exhausted = True
            self._gate.guard.run(self._exchange.close)
            raise
        try:
            self._body.add(chunk)
            if self._body.size >= self._whole:
                self._reached()
        except Exception as problem:  # noqa: BLE001 - as the guard does it, at no cost for each chunk
            self._gate.guard.failed(self._reached, problem)
        return chunk

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._result, name)

    def _reached(self) -> None:
        """Close at the response's Content-Length; its headers are there by the first chunk, as PEP 3333 has it."""
        if self._whole < 0:
            self._whole = _ENDLESS
            length = content_length(self._exchange.response_headers)
            if length is None:
                self._gate.streaming(self._exchange)
            else:
                self._whole = length
        if self._body.size >= self._whole:
            self._exchange.close()

    def close(self) -> None:
        """Close the app's iterable, then the exchange."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            self._gate.guard.run(self._ended)

    def _ended(self) -> None:
        self._exchange.status = self._exchange.status or unanswered(self._exchange)
        self._exchange.close()


class SizedOutput(TeeOutput):
    """One that says how many chunks there are, where the app's iterable does: servers compute a length from it."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # asked for only where it has a length


class NotingWrapper:
    """A server's `wsgi.file_wrapper` that is a function (uWSGI's): it remembers what it made, to be known again."""

    __slots__ = ("_wrap", "made")

    def __init__(self, wrap: Callable[..., Any]) -> None:
        self._wrap = wrap
        self.made: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.made = self._wrap(*args, **kwargs)
        return self.made


def closing_file(result: Any, exchange: Exchange, gate: Gate) -> Iterable[bytes]:
    """A file that the server may send by itself (`sendfile`): it must get the very same object back.

    Its bytes are not seen; its size is known from Content-Length. Only its end is listened for.
    """
    close = getattr(result, "close", None)

    def closing() -> None:
        try:
            if close is not None:
                close()
        finally:
            gate.guard.run(exchange.close)

    try:
        result.close = closing
    except (AttributeError, TypeError):  # a server's own C type: its end cannot be heard
        exchange.close()
    return result  # type: ignore[no-any-return]  # the server's own wrapper


def unanswered(exchange: Exchange) -> int:
    """The status of an answer that start_response was not called for: the server answers for it.

    Where a websocket is asked for, the app has taken the connection over and spoken for itself.
    """
    asked = exchange.request.header("upgrade")
    return _SWITCHING_PROTOCOLS if asked and asked[0].strip().lower() == "websocket" else 500


def content_length(headers: Iterable[tuple[Any, Any]]) -> int | None:
    """What the response's headers say that it has; None where they do not."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            return int(value) if value.isdecimal() else None
    return None
