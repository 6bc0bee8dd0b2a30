"""What has come of a request body, looked at in the server's buffers: nothing is taken, so the app reads it as it is.

Servers that read a body while the app asks for it would otherwise wait for the client on our account. gunicorn has a
buffer in which to put back what was received; the others, wsgiref, Werkzeug and gevent among them, read through io's
BufferedReader, and what is behind that waits in the kernel, where it can be peeked at.
"""

from __future__ import annotations

import inspect
import socket
import time
from collections.abc import Callable
from io import BufferedReader
from typing import Any, NamedTuple

from metlo_otel.capture.replayed import Raising
from metlo_otel.capture.streams import TeeInput

_PIECE = 8192  # bytes asked of a socket at once, as servers ask
_FULL = 32 * 1024  # bytes from which on the kernel's buffer, which begins with 64 KiB, may hold all that it can
_SHORTEST = 0.0005  # seconds to wait where there is no time left: with 0 a TLS socket raises an error of its own
_SHORT_PAUSE, _LONG_PAUSE = 0.002, 0.05  # seconds between two looks at a buffer that can only be peeked at


class Arrived(NamedTuple):
    """The first bytes of a body, whether what is missing of it may still come, and what receiving it has raised."""

    data: bytes
    awaited: bool = False
    problem: Exception | None = None


def arrived(stream: Any, length: int | None, limit: int, seconds: float) -> Arrived | None:
    """The first `limit` bytes of the body behind `stream`, as far as they have come or come within `seconds`.

    `length` is what the request says that its body has. None is returned where this server does not let us look.
    """
    while isinstance(stream, TeeInput) or _kind(stream) == _DJANGOS:
        stream, length = stream.behind if isinstance(stream, TeeInput) else _behind_django(stream), length or 0
    source = _of_gunicorn(stream) if _kind(stream) == "gunicorn.http.body.Body" else _of_buffered(stream, length)
    if source is None:
        return None
    if getattr(stream, "socket", None) or getattr(stream, "wfile", None):  # gevent's and eventlet's, to send 100 by
        seconds = 0.0
    return _look(source, limit, time.monotonic() + seconds)


def reads_anywhere(stream: TeeInput) -> bool:
    """Whether this server's stream may be read in any thread, and beyond the request: granian's alone."""
    return _kind(stream.behind) == "granian._granian.WSGIBody"


def _look(source: _Received | _Peeked, limit: int, deadline: float) -> Arrived:
    length = source.length
    most = limit if length is None else min(limit, length)
    while True:
        raw = source.raw()
        data, whole = dechunked(raw) if length is None else (raw[:length], False)
        if whole or len(data) >= most:
            return Arrived(data[:most])
        try:
            more = len(raw) < 4 * most + _PIECE and source.wait(most - len(data), deadline)
        except OSError as problem:  # the connection is lost, which the app is told when it has read so far
            return Arrived(data, problem=problem.with_traceback(None))
        if not more:
            return Arrived(data, awaited=not source.ended)


def dechunked(raw: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body (RFC 9112, section 7.1), and whether it ends here: well, or where it is malformed.

    It takes what lenient servers take; the app is told by its own server what is wrong.
    """
    parts: list[bytes] = []
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        try:
            size = int(raw[at:end].partition(b";")[0], 16)
        except ValueError:
            size = 0
        if size <= 0:
            return b"".join(parts), True
        parts.append(raw[end + 1 : end + 1 + size])
        at = raw.find(b"\n", end + 1 + size) + 1
        if not at:
            break
    return b"".join(parts), False


class _Received:
    """gunicorn's reader of a socket: what we receive goes into the buffer from which it serves the body.

    `length` is that of the body, None where it is chunked; `ended` says that the client has closed the connection.
    """

    def __init__(self, unreader: Any, length: int | None) -> None:
        self._unreader = unreader
        self.length = length
        self.ended = False

    def raw(self) -> bytes:
        """All that has come."""
        return self._unreader.buf.getvalue()  # type: ignore[no-any-return]  # untyped

    def wait(self, missing: int, deadline: float) -> bool:
        """Whether there is more, before the deadline. What receiving raises, the app's reading raises too."""
        unreader = self._unreader
        size = missing if self.length is not None else _PIECE
        try:
            data = _in_time(unreader.sock, deadline, lambda: unreader.sock.recv(size))
        except OSError as problem:
            unreader.chunk = Raising(problem.with_traceback(None))
            self.ended = True
            return False
        self.ended = data == b""
        if not data:
            return False
        unreader.buf.seek(0, 2)
        unreader.buf.write(data)
        return True


class _Peeked:
    """A BufferedReader over a socket: its buffer, and what waits in the kernel behind it. As above."""

    def __init__(self, reader: BufferedReader, sock: Any, length: int | None) -> None:
        self._reader = reader
        self._socket = sock
        self._pause = _SHORT_PAUSE
        self._waiting = 0  # bytes in the kernel
        self._full = False
        self._problem: OSError | None = None
        self.length = length
        self.ended = False

    def raw(self) -> bytes:
        """All that has come."""
        held = self._peek(self._reader.peek) or b""
        waiting = self._peek(lambda: self._socket.recv(8 * _FULL, socket.MSG_PEEK))
        self.ended = waiting == b""
        waiting = waiting or b""
        self._full = len(waiting) >= _FULL and len(waiting) == self._waiting
        self._waiting = len(waiting)
        return held + waiting

    def _peek(self, receive: Callable[[], bytes]) -> bytes | None:
        try:
            return _at_once(self._socket, receive)
        except OSError as problem:
            self._problem = problem
            return None

    def wait(self, missing: int, deadline: float) -> bool:  # noqa: ARG002 - all that is there is looked at
        """Whether there may be more, before the deadline. Raises OSError, which the kernel tells once."""
        if self._problem is not None:
            raise self._problem
        left = deadline - time.monotonic()
        if self.ended or self._full or left <= 0:
            return False
        if self._waiting:
            time.sleep(min(self._pause, left))
            self._pause = min(2 * self._pause, _LONG_PAUSE)
            return True
        data = _in_time(self._socket, deadline, lambda: self._socket.recv(1, socket.MSG_PEEK))
        self.ended = data == b""
        return bool(data)


def _of_gunicorn(body: Any) -> _Received | None:
    """The source of a body, unless some of it has been read."""
    reader = body.reader
    if body.buf.tell() or not hasattr(reader, "parser"):
        return _Received(reader.unreader, reader.length) if hasattr(reader, "length") and not body.buf.tell() else None
    fresh = inspect.getgeneratorstate(reader.parser) == inspect.GEN_CREATED
    return _Received(reader.req.unreader, None) if fresh else None


def _of_buffered(stream: Any, length: int | None) -> _Peeked | None:
    if _kind(stream) in _CHUNKS:
        behind, is_chunked = _CHUNKS[_kind(stream)]
        length = None if is_chunked(stream) else length
        stream = behind(stream)
    elif length is None:
        return None
    sock = getattr(stream.raw, "_sock", None) if type(stream) is BufferedReader else None
    return None if sock is None or hasattr(sock, "pending") else _Peeked(stream, sock, length)  # TLS allows no peeking


# Streams by their kind: what they read from, and whether that is chunked
_CHUNKS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], bool]]] = {
    "werkzeug.serving.DechunkedInput": (lambda stream: stream._rfile, lambda _: True),
    "gevent.pywsgi.Input": (lambda stream: stream.rfile, lambda stream: bool(stream.chunked_input)),
    "eventlet.wsgi.Input": (lambda stream: stream.rfile, lambda stream: bool(stream.chunked_input)),
}
_DJANGOS = "django.core.handlers.wsgi.LimitedStream"


def _kind(stream: object) -> str:
    return f"{type(stream).__module__}.{type(stream).__qualname__}"


def _behind_django(stream: Any) -> Any:
    """What Django's own limit to Content-Length reads from; before Django 5 it says so."""
    return stream.stream if hasattr(stream, "stream") else stream._read.__self__


def _in_time(sock: Any, deadline: float, receive: Callable[[], bytes]) -> bytes | None:
    """What `receive` gives before the deadline, None where that is nothing; the socket's own time limit holds too."""
    own = sock.gettimeout()
    left = max(deadline - time.monotonic(), _SHORTEST)
    sock.settimeout(left if own is None else min(left, own))
    try:
        return receive()
    except TimeoutError:
        return None
    finally:
        sock.settimeout(own)


def _at_once(sock: Any, receive: Callable[[], bytes]) -> bytes | None:
    """What `receive` gives without waiting, None where that is nothing."""
    own = sock.gettimeout()
    sock.settimeout(0)
    try:
        return receive()
    except BlockingIOError:
        return None
    finally:
        sock.settimeout(own)
