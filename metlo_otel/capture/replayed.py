"""A stream whose beginning was read ahead of the app, which reads it again, byte for byte, and what that raised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from io import BytesIO
from typing import Any

from metlo_otel.capture.copies import as_itself

_PIECE = 1024  # bytes read at once: an error in the body is met no further before its place than by so much

_MUCH = 65536  # bytes read at once where all is wanted


def replayed(stream: Any, limit: int, data: bytearray) -> Replayed:
    """Read up to `limit` bytes of `stream` into `data`; what gives them again, and raises what reading raised."""
    problem, short = None, False
    try:
        while len(data) < limit:
            asked = min(limit - len(data), _PIECE)
            piece = stream.read(asked)
            if not piece:
                break
            data += piece
            short = len(piece) < asked
    except Exception as raised:  # noqa: BLE001 - it is the app's, which is told of it when it has read so far
        problem = raised.with_traceback(None)
    first = bytes(data)
    return Replayed(first, stream) if problem is None else Replayed(first, Failing(stream, problem), short)


class OfGranian:
    """granian's `stream`: without a size it forgets what readings with one have left over, which this does not.

    It gives nothing of a body that breaks off, as if that were all of it: `length` is known, so here it raises OSError.
    """

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._missing = length

    def read(self, size: int | None = None) -> bytes:
        """As a file's."""
        read = self._stream.read
        data: bytes = b"".join(iter(partial(read, _MUCH), b"")) if size is None else read(size)
        self._missing -= len(data)
        if size is None and self._missing > 0:
            raise OSError("the client has closed the connection within the body")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Late:
    """`stream`, of which another thread still reads the beginning into `data`: reading waits for that."""

    def __init__(self, stream: Any, limit: int, data: bytearray) -> None:
        self._stream = stream
        self._made: list[Replayed] = []
        self._thread = threading.Thread(
            target=lambda: self._made.append(replayed(stream, limit, data)), name="metlo_otel.read_ahead", daemon=True
        )
        self._thread.start()

    def within(self, seconds: float) -> Any:
        """What to read from: this, unless it is done within `seconds`."""
        self._thread.join(seconds)
        return self._made[0] if self._made else self

    def __getattr__(self, name: str) -> Any:
        if name not in _READING:
            return getattr(self._stream, name)
        self._thread.join()
        return getattr(self._made[0], name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        return next(iter(self))


class Raising:
    """In place of a function that receives: raises what receiving has raised, once, and then is at the end."""

    def __init__(self, problem: Exception) -> None:
        self._problem: Exception | None = problem

    def __call__(self, *_: Any) -> bytes:
        problem, self._problem = self._problem, None
        if problem is None:
            return b""
        raise problem


class Failing:
    """`stream`, where reading has raised `problem`: it is raised once more, at the next reading of any kind."""

    def __init__(self, stream: Any, problem: Exception) -> None:
        self._stream = stream
        self._problem: Exception | None = problem

    def __reduce__(self) -> Any:
        return as_itself(self._stream)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return partial(self._reading, found) if name in _READING else found

    def _reading(self, read: Callable[..., Any], *args: Any) -> Any:
        problem, self._problem = self._problem, None
        if problem is None:
            return read(*args)
        try:
            found = read(*args)  # the stream may have kept some bytes until it raised
        except Exception:  # noqa: BLE001 - as the app's first reading would have had it
            found = None
        if not found:
            raise problem
        self._problem = problem
        return found


_READING = frozenset({"read", "read1", "readall", "readinto", "readinto1", "readline", "readlines"})


class Replayed:
    """`stream` with `data`, which was read from it, put back in front. Reads no further than it is asked to.

    It has what the stream has, for Django, Werkzeug and io's wrappers ask for more than PEP 3333 does, and what a
    server's stream has not they must not find: all but its positions. `short` says that the stream gives less than it
    is asked for before its end: then so does this, where the stream has failed.
    """

    def __init__(self, data: bytes, stream: Any, short: bool = False) -> None:
        self._data = data
        self._stream = stream
        self._short = short

    @property
    def behind(self) -> Any:
        """What is read when the data has been."""
        return self._stream

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own, which may take no argument that this would make up."""
        size = _size(args, kwargs)
        if size < 0:
            data, self._data = self._data, b""
            return data + bytes(self._stream.read(*args, **kwargs))
        data, self._data = self._data[:size], self._data[size:]
        missing = size - len(data)
        if not missing or (data and self._short):
            return data
        return data + bytes(self._stream.read(missing))

    def readline(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own."""
        limit = _size(args, kwargs)
        end = self._data.find(b"\n") + 1
        if end and (limit < 0 or end <= limit):
            return self._take(end)
        if 0 <= limit <= len(self._data):
            return self._take(limit)
        data = self._take(len(self._data))
        rest = self._stream.readline(*args, **kwargs) if limit < 0 else self._stream.readline(limit - len(data))
        return data + bytes(rest)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """As a file's: whole lines, until they have `hint` bytes in all."""
        lines: list[bytes] = []
        held = 0
        for line in self:
            lines.append(line)
            held += len(line)
            if hint and 0 < hint <= held:
                break
        return lines

    def __reduce__(self) -> Any:
        return BytesIO, (self._data + deepcopy(self._stream).read(),)  # copied or pickled, it is what can be read of it

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        return next(iter(self))

    def close(self) -> None:
        """Close the stream behind, where it can be closed."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        if name in ("peek", "seek", "tell"):
            raise AttributeError(name)
        found = getattr(self._stream, name)
        if name in ("readinto", "readinto1"):
            return partial(self._readinto, found)
        if name == "readall":
            return partial(self._readall, found)
        return partial(self._read1, found) if name == "read1" else found

    def _readall(self, readall: Callable[[], bytes | None]) -> bytes | None:
        data, self._data = self._data, b""
        return data + (readall() or b"") if data else readall()

    def _read1(self, read1: Callable[[int], bytes], size: int = -1) -> bytes:
        if not self._data:
            return read1(size)
        return self._take(len(self._data) if size < 0 else size)

    def _readinto(self, readinto: Callable[[Any], int | None], buffer: Any) -> int | None:
        if not self._data:
            return readinto(buffer)
        room = memoryview(buffer).cast("B")
        data = self._take(len(room))
        room[: len(data)] = data
        return len(data)

    def _take(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def _size(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How much is asked for, by position or by whatever name; -1 for all there is."""
    size = next(iter((*args, *kwargs.values())), None)
    return -1 if size is None else int(size)
