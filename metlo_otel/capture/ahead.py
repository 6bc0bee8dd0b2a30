"""Reading the beginning of a request body ahead of the app, which then reads it again, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def read_ahead(stream: Any, limit: int, found: bytearray) -> None:
    """Add up to `limit` bytes from `stream` to `found`; fewer only at its end."""
    while len(found) < limit:
        data = stream.read(limit - len(found))
        if not data:
            break
        found += data


class Replayed:
    """`stream` with `data`, which was read from it, put back in front. Reads no further than it is asked to."""

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

    def close(self) -> None:
        """Close the stream behind, where it can be closed."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()

    def _take(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data
