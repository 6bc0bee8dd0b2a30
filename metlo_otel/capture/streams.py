"""A readable stream that notes what the app reads from it, and is otherwise the server's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from metlo_otel.capture.ahead import Replayed, position, read_ahead
from metlo_otel.core.exchange import Body


class TeeInput:
    """`wsgi.input`, or Django's request stream. Has exactly the methods that the stream behind it has."""

    def __init__(self, stream: Any, body: Body) -> None:
        self._stream = stream
        self._body = body
        self._again = 0  # bytes to pass without noting, because they are read a second time

    def ahead(self, limit: int) -> None:
        """Read up to `limit` bytes and note them; the app reads them again as if nobody had."""
        if self._body.size:
            return
        data = bytearray()
        begin = position(self._stream)
        try:
            read_ahead(self._stream, limit, data)
        finally:  # where the client goes away meanwhile, the app still gets what there was
            self._put_back(bytes(data), begin)

    def _put_back(self, data: bytes, begin: int | None) -> None:
        self._body.add(data)
        self._again = len(data)
        if begin is None:
            self._stream = Replayed(data, self._stream)
            for name in [name for name in self.__dict__ if not name.startswith("_")]:
                del self.__dict__[name]
        else:
            self._stream.seek(begin)

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own."""
        data: bytes = self._stream.read(*args, **kwargs)
        if self._again:
            return self._note(data)
        self._body.add(data)
        return data

    def readline(self, *args: Any, **kwargs: Any) -> bytes:
        """As the stream's own."""
        return self._note(self._stream.readline(*args, **kwargs))

    def readlines(self, *args: Any, **kwargs: Any) -> list[bytes]:
        """As the stream's own."""
        return [self._note(line) for line in self._stream.readlines(*args, **kwargs)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._note(line)

    def __next__(self) -> bytes:
        return self._note(next(self._stream))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_stream":  # asked for before there is a stream, by copy and pickle
            raise AttributeError(name)
        found = getattr(self._stream, name)
        if name in _AS_THE_STREAM:
            found = _AS_THE_STREAM[name](self, found)
        if callable(found):  # frameworks ask whether it is there, then call it
            self.__dict__[name] = found
        return found

    def _note(self, data: bytes) -> bytes:
        if data:
            if self._again:
                skipped = min(self._again, len(data))
                self._again -= skipped
                self._body.add(memoryview(data)[skipped:])
            else:
                self._body.add(data)
        return data

    def _noting(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def reading(*args: Any, **kwargs: Any) -> bytes:
            return self._note(read(*args, **kwargs))

        return reading

    def _noting_buffer(self, readinto: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        def reading(buffer: Any) -> int | None:
            count = readinto(buffer)
            if count:
                self._note(memoryview(buffer).cast("B")[:count])  # type: ignore[arg-type]  # Body takes both
            return count

        return reading

    def _noting_seek(self, seek: Callable[..., int]) -> Callable[..., int]:
        def seeking(*args: Any) -> int:
            position = seek(*args)
            self._again = max(0, self._body.size - position)
            return position

        return seeking


# What a stream need not have, and how it is noted.
_AS_THE_STREAM: dict[str, Callable[[TeeInput, Callable[..., Any]], Callable[..., Any]]] = {
    "read1": TeeInput._noting,
    "readall": TeeInput._noting,
    "readinto": TeeInput._noting_buffer,
    "readinto1": TeeInput._noting_buffer,
    "seek": TeeInput._noting_seek,
}
