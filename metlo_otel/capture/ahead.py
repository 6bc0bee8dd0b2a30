"""Reading the beginning of a request body ahead of the app, which then reads it again, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any


def read_ahead(stream: Any, limit: int, found: bytearray) -> None:
    """Add up to `limit` bytes from `stream` to `found`; fewer only at its end."""
    while len(found) < limit:
        data = stream.read(limit - len(found))
        if not data:
            break
        found += data


def position(stream: Any) -> int | None:
    """Where a stream is that can be sent back there; None for one that cannot, as those of servers."""
    seekable = getattr(stream, "seekable", None)
    return int(stream.tell()) if seekable is not None and seekable() else None


class Replayed:
    """`stream` with `data`, which was read from it, put back in front. Reads no further than it is asked to.

    It has what the stream has, for Django, Werkzeug and io's wrappers ask for more than PEP 3333 does, and what a
    server's stream has not they must not find: all but its positions.
    """

    def __init__(self, data: bytes, stream: Any) -> None:
        self._data = data
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        """As a file's."""
        if size is None or size < 0:
            data, self._data = self._data, b""
            return data + bytes(self._stream.read() if size is None else self._stream.read(size))
        data, self._data = self._data[:size], self._data[size:]
        missing = size - len(data)
        return data + bytes(self._stream.read(missing)) if missing and not self._data else data

    def readline(self, size: int | None = -1) -> bytes:
        """As a file's."""
        limit = -1 if size is None else size
        end = self._data.find(b"\n") + 1
        if end and (limit < 0 or end <= limit):
            return self._take(end)
        if 0 <= limit <= len(self._data):
            return self._take(limit)
        data = self._take(len(self._data))
        rest = self._stream.readline() if limit < 0 else self._stream.readline(limit - len(data))
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
