"""A readable stream that notes what the app reads from it, and is otherwise the server's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from copy import copy
from io import IOBase
from typing import Any

from metlo_otel.capture.copies import as_itself
from metlo_otel.capture.late import Deciding
from metlo_otel.capture.replayed import Failing, Late, OfGranian, Replayed, replayed
from metlo_otel.core.exchange import Body
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.late import LateDecision

_GUARD = Guard(RateLimitedLog(logging.getLogger("metlo_otel")))  # streams are of no one agent


def teed(stream: Any, body: Body) -> TeeInput:
    """`stream`, noted in `body` as it is read."""
    if hasattr(type(stream), "readinto"):  # a stream of another kind may raise anything when it is asked for names
        return _TeeBuffered(stream, body)
    return _TeeFile(stream, body) if isinstance(stream, IOBase) else TeeInput(stream, body)


class TeeInput:
    """`wsgi.input`, or Django's request stream, by teed(). Has exactly the methods that the stream behind it has."""

    def __init__(self, stream: Any, body: Body) -> None:
        self._stream = stream
        self._body = body

    @property
    def behind(self) -> Any:
        """The stream behind."""
        return self._stream

    @property
    def seekable_behind(self) -> bool:
        """Whether the stream behind can be sent back: that of a server that receives all of a body before it asks."""
        seekable = getattr(self._stream, "seekable", None)
        return seekable is not None and bool(seekable())

    def ahead(self, limit: int) -> None:
        """Read up to `limit` bytes and note them; the app reads them again, and what reading raised is raised again."""
        stream, data = self._stream, bytearray()
        if self.seekable_behind:
            begin = stream.tell()
            try:
                data += stream.read(limit)
            finally:
                stream.seek(begin)
        else:
            self._become(replayed(stream, limit, data))
        self.looked(bytes(data))

    def ahead_within(self, limit: int, seconds: float, length: int) -> bool:
        """As ahead(), in another thread, whose reading the app goes on with; whether it has ended within `seconds`.

        For granian, with a body of `length` bytes, or 0.
        """
        data = bytearray()
        stream = Late(OfGranian(self._stream, length), limit, data).within(seconds)
        self._become(stream)
        self.looked(bytes(data))
        return not isinstance(stream, Late)

    def looked(self, data: bytes) -> None:
        """Note the beginning of what will be read."""
        self._body.add(data)
        self._body.again = len(data)

    def failing(self, size: int, problem: Exception) -> None:
        """Have `problem` raised where `size` bytes have been read: so many are there, then the connection is lost."""
        data = bytearray()
        again = replayed(self._stream, size, data)
        failed = isinstance(again.behind, Failing)
        self._become(again if failed else Replayed(bytes(data), Failing(self._stream, problem)))

    def deciding(self, late: LateDecision, guard: Guard) -> None:
        """From now on what is read is decided on before it is given to the app."""
        self._become(Deciding(self._stream, self._body, late, guard))

    def _become(self, stream: Replayed | Late | Deciding) -> None:
        self._stream = stream
        for name in [name for name in self.__dict__ if not name.startswith("_")]:
            del self.__dict__[name]

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own."""
        data: bytes = self._stream.read(*args, **kwargs)
        body = self._body
        try:
            if body.again:
                body.add_anew(data)
            else:
                body.add(data)
        except Exception as problem:  # noqa: BLE001 - as the guard does it, at no cost
            _GUARD.failed(body.add, problem)
        return data

    def readline(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own."""
        return self._note(self._stream.readline(*args, **kwargs))

    def readlines(self, *args: Any, **kwargs: Any) -> list[bytes]:
        """As the stream's own."""
        lines: list[bytes] = self._stream.readlines(*args, **kwargs)
        if isinstance(lines, list):
            for line in lines:
                self._note(line)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._note(line)

    def __next__(self) -> bytes:
        return self._note(next(self._stream))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_stream":  # asked for before there is a stream, by copy and pickle
            raise AttributeError(name)
        found = getattr(self._stream, name)
        if name in _AS_THE_STREAM:  # asked for, then called; what is kept here must not hold this tee: see there
            noting = _GUARD.run(_AS_THE_STREAM[name], self._body, found)
            found = self.__dict__[name] = noting if callable(noting) else found
        return found

    def __copy__(self) -> Any:
        return copy(self._stream)

    def __reduce__(self) -> Any:
        return as_itself(self._stream)

    def _note(self, data: bytes) -> bytes:
        _GUARD.run(self._body.add_anew, data)
        return data


class _TeeFile(TeeInput):
    """One whose stream is a file, as Django's are."""

    # Django asks for these at each body, and a method costs half of what __getattr__ does

    def seekable(self) -> bool:
        """As the stream's own."""
        return bool(self._stream.seekable())

    def close(self) -> None:
        """As the stream's own."""
        self._stream.close()


class _TeeBuffered(TeeInput):
    """One whose stream has `readinto`, with which Flask reads it."""

    def readinto(self, buffer: Any) -> int | None:
        """As the stream's own."""
        count: int | None = self._stream.readinto(buffer)
        body = self._body
        try:
            if type(buffer) is bytearray and count == len(buffer) and not body.again:  # as a rule, as Flask reads
                body.add(buffer)
            elif count:
                _note_buffer(body, buffer, count)
        except Exception as problem:  # noqa: BLE001 - as the guard does it, at no cost
            _GUARD.failed(_note_buffer, problem)
        return count


def _noting(body: Body, read: Callable[..., bytes]) -> Callable[..., bytes]:
    def reading(*args: Any, **kwargs: Any) -> bytes:
        data = read(*args, **kwargs)
        _GUARD.run(body.add_anew, data)
        return data

    return reading


def _noting_buffer(body: Body, readinto: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
    def reading(buffer: Any) -> int | None:
        count = readinto(buffer)
        if count:
            _GUARD.run(_note_buffer, body, buffer, count)
        return count

    return reading


def _note_buffer(body: Body, buffer: Any, count: int) -> None:
    body.add_anew(memoryview(buffer).cast("B")[:count])


def _noting_seek(body: Body, seek: Callable[..., int]) -> Callable[..., int]:
    def seeking(*args: Any) -> int:
        position = seek(*args)
        if type(position) is int:
            body.again = max(0, body.size - position)
        return position

    return seeking


# What a stream need not have, and how it is noted. The tee keeps what these make, so they hold the body, not the tee:
# else the server's stream would stay, after each request, until Python looks for cycles.
_AS_THE_STREAM: dict[str, Callable[[Body, Callable[..., Any]], Callable[..., Any]]] = {
    "read1": _noting,
    "readall": _noting,
    "readinto": _noting_buffer,
    "readinto1": _noting_buffer,
    "seek": _noting_seek,
}
