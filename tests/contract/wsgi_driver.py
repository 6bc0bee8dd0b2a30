"""A WSGI server in a function: it behaves as gunicorn does, and every step of it can be steered."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.contract.http import Answer, Call

App = Callable[..., Iterable[bytes]]

_PLAIN = ("content-type", "content-length")


class Input:
    """`wsgi.input` with the methods that PEP 3333 asks for and no more; counts what is taken."""

    def __init__(self, body: bytes) -> None:
        self._stream = io.BytesIO(body)

    @property
    def taken(self) -> int:
        """Bytes that were read."""
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._stream.readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)


class FileWrapper:
    """`wsgi.file_wrapper`: a server that finds one as the response may send the file behind it by itself."""

    def __init__(self, filelike: Any, block: int = 8192) -> None:
        self.filelike = filelike
        self._block = block
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __getitem__(self, _: int) -> bytes:
        data = self.filelike.read(self._block)
        if data:
            return bytes(data)
        raise IndexError


def make_environ(call: Call) -> dict[str, Any]:
    """The environ of a call: headers of one name joined by commas, text that stands for bytes in latin-1."""
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": Input(_readable(call)),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": call.path.decode("latin-1"),
        "QUERY_STRING": call.query,
        "SERVER_PROTOCOL": "HTTP/2" if call.http2 else "HTTP/1.1",
        "SERVER_NAME": str(call.server[0]),
        "SERVER_PORT": str(call.server[1]),
        "REMOTE_ADDR": str(call.client[0]),
        "REMOTE_PORT": str(call.client[1]),
    }
    if call.sendfile:
        environ["wsgi.file_wrapper"] = FileWrapper
    for name, value in call.all_headers():
        key = name.upper().replace("-", "_")
        key = key if name.lower() in _PLAIN else "HTTP_" + key
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def serve(app: App, call: Call) -> Answer:
    """Serve one call to the end, as a server would: iterate, close, answer 500 for an app that raised."""
    environ = make_environ(call)
    stream = environ["wsgi.input"]
    answer = Answer()
    try:
        _run(app, call, environ, answer)
    except Exception as problem:
        answer.raised = f"{type(problem).__name__}: {problem}"
        answer.status = answer.status or 500
    answer.consumed = stream.taken
    return answer


def _run(app: App, call: Call, environ: dict[str, Any], answer: Answer) -> None:
    result = app(environ, _starter(answer))
    try:
        if isinstance(result, FileWrapper):
            answer.sendfile = True
            answer.pieces.append(result.filelike.read())
        else:
            _send(result, call, answer)
    finally:
        if call.closes and hasattr(result, "close"):
            result.close()
            answer.closed = True


def _send(result: Iterable[bytes], call: Call, answer: Answer) -> None:
    for piece in result:
        assert answer.status, "the app sent a piece of its body before it called start_response"
        if call.leaves_after == len(answer.pieces):
            return
        answer.take(piece, call)


def _starter(answer: Answer) -> Callable[..., Callable[[bytes], None]]:
    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and answer.pieces:
            raise exc_info[1]
        answer.status, answer.headers = int(status.split()[0]), tuple(headers)
        return answer.pieces.append

    return start_response


def _readable(call: Call) -> bytes:
    """What a server lets an app read: no more than the Content-Length, where one that can be read is all it knows."""
    if call.chunked:
        return call.body
    lengths = [value for name, value in call.all_headers() if name.lower() == "content-length"]
    return call.body[: int(lengths[0])] if lengths and lengths[0].isdecimal() else call.body
