"""The stream from which an app reads a body that had not come when the request began: decided on as it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from metlo_otel.capture.copies import as_itself
from metlo_otel.core.exchange import Body
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision


class ClientGoneError(ConnectionResetError):
    """Raised where an app reads the body of a request that is rejected: for the app its client has gone away."""


class Deciding:
    """`stream`, whose parts are noted in `body` and decided on before the app gets them.

    Raises ClientGoneError, from any reading, once the request is rejected. Who reads from this notes the parts anew.
    """

    def __init__(self, stream: Any, body: Body, late: LateDecision, guard: Guard) -> None:
        self._stream = stream
        self._body = body
        self._late = late
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_stream":  # as in the tee
            raise AttributeError(name)
        found = getattr(self._stream, name)
        reading = _READING.get(name)
        return found if reading is None else partial(reading, self, found)

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            self._look(line)
            yield line
        self._look(b"", True)

    def __next__(self) -> bytes:
        line: bytes = next(self._stream)
        self._look(line)
        return line

    def __reduce__(self) -> Any:
        return as_itself(self._stream)

    def _read(self, read: Callable[..., bytes | None], *args: Any, **kwargs: Any) -> bytes | None:
        data = read(*args, **kwargs)
        size = next(iter((*args, *kwargs.values())), None)
        self._look(data or b"", size is None or size < 0 or (data == b"" and size > 0))
        return data

    def _read_some(self, read: Callable[..., bytes], *args: Any) -> bytes:
        data = read(*args)
        self._look(data, not data and args[:1] != (0,))
        return data

    def _read_lines(self, read: Callable[..., list[bytes]], *args: Any) -> list[bytes]:
        lines = read(*args)
        self._look(b"".join(lines), not args or not lines)
        return lines

    def _read_into(self, read: Callable[[Any], int | None], buffer: Any) -> int | None:
        count = read(buffer)
        room = memoryview(buffer).cast("B")
        try:
            self._look(room[: count or 0], count == 0 and len(room) > 0)
        except ClientGoneError:
            room[:] = bytes(len(room))
            raise
        return count

    def _look(self, data: bytes | memoryview, ended: bool = False) -> None:
        if self._guard.run(self._goes, data, ended) is True:
            raise ClientGoneError("the client has closed the connection")

    def _goes(self, data: bytes | memoryview, ended: bool) -> bool:
        body = self._body
        if data:
            body.add_anew(data)
            body.again += len(data)
        return self._late.passed(ended)


_READING: dict[str, Callable[..., Any]] = {
    "read": Deciding._read,
    "readall": Deciding._read,
    "read1": Deciding._read_some,
    "readline": Deciding._read_some,
    "readlines": Deciding._read_lines,
    "readinto": Deciding._read_into,
    "readinto1": Deciding._read_into,
}
