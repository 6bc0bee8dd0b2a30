"""A WSGI app with a route for each thing that an app may do to its server, and a list of what it has lived through.

`app` is served; WIRE_MODE puts the agent around it: `plain`, `facade`, `rule` (on bodies) or `block` (of attacks too).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Any]
TEXT = ("Content-Type", "text/plain")
GAP = 0.1  # seconds between chunks that must not wait for each other
FILE = b"0123456789" * 5000
OPTIONS: dict[str, dict[str, Any]] = {
    "facade": {"DETECTION": "report"},
    "rule": {"RULES": [{"name": "never", "block": True, "body": {"contains": "what-nobody-sends"}}]},
    "block": {"DETECTION": "block"},
}

events: list[str] = []


def note(event: str) -> None:
    """Keep what has happened to the app."""
    events.append(event)


def site(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer by the path."""
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    if name == "events":
        return told(environ, start)
    note(f"{environ['REQUEST_METHOD']} /{name}")
    view: Callable[[Environ, Start], Iterable[bytes]] = globals().get(f"view_{name}", view_hello)
    try:
        return view(environ, start)
    except BaseException as problem:
        note(f"left with {type(problem).__name__}")
        raise


def told(environ: Environ, start: Start) -> Iterable[bytes]:
    """What has happened since this was last asked."""
    body = json.dumps(events).encode()
    if "QUERY_STRING" in environ and environ["QUERY_STRING"] == "clear":
        events.clear()
    start("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def view_hello(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def view_no_length(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT, ("X-Twice", "1"), ("X-Twice", "2")])
    return [b"one", b"", b"two"]


def view_tuple(environ: Environ, start: Start) -> Iterable[bytes]:
    start("202 Accepted, indeed", [TEXT])
    return (b"one",)


def view_empty(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    return []


def view_empty_chunks(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT])
    yield b""
    yield b"late"
    yield b""


def view_204(environ: Environ, start: Start) -> Iterable[bytes]:
    start("204 No Content", [])
    return []


def view_304(environ: Environ, start: Start) -> Iterable[bytes]:
    start("304 Not Modified", [("ETag", '"x"')])
    return iter(())


def view_too_long(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT, ("Content-Length", "3")])
    return iter([b"more", b"than said"])


def view_too_short(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT, ("Content-Length", "9")])
    return iter([b"less"])


def view_stream(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT])
    try:
        for number in range(3):
            yield b"chunk %d\n" % number
            time.sleep(GAP)
    finally:
        note("stream ended")


def view_long(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    return Closing(b"x" * 65536 for _ in range(400))


def view_late_start(environ: Environ, start: Start) -> Iterator[bytes]:
    """A generator calls start_response with its first chunk."""
    start("201 Created", [TEXT, ("X-Late", "yes")])
    yield b"late"


def view_write(environ: Environ, start: Start) -> Iterable[bytes]:
    write = start("200 OK", [TEXT])
    write(b"written ")
    time.sleep(GAP)
    write(b"twice ")
    return [b"and returned"]


def view_closing(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    return Closing(iter([b"a", b"b"]))


def view_closing_raises(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    return Closing(iter([b"a", b"b"]), ValueError("at close"))


class Closing:
    """An iterable whose close() is noted, and how often its iterator was asked for."""

    def __init__(self, chunks: Iterator[bytes], problem: Exception | None = None) -> None:
        self._chunks = chunks
        self._problem = problem

    def __iter__(self) -> Iterator[bytes]:
        note("iter")
        return self._chunks

    def close(self) -> None:
        note("close")
        if self._problem:
            raise self._problem


def view_raises(environ: Environ, start: Start) -> Iterable[bytes]:
    raise ValueError("before all")


def view_raises_started(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    raise ValueError("after start_response")


def view_raises_first(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT])
    raise ValueError("before the first chunk")
    yield b""


def view_raises_between(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT])
    yield b"half"
    raise ValueError("between chunks")


def view_raises_sized(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT, ("Content-Length", "8")])
    yield b"half"
    raise ValueError("between chunks")


def view_raises_after(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [TEXT, ("Content-Length", "4")])
    yield b"half"
    raise ValueError("after the last")


def view_again(environ: Environ, start: Start) -> Iterable[bytes]:
    """start_response a second time, as an error page does."""
    start("200 OK", [TEXT])
    try:
        raise ValueError("to be answered")
    except ValueError as problem:
        start("500 Oh", [TEXT, ("X-Error", "yes")], (ValueError, problem, problem.__traceback__))
    return [b"error page"]


def view_again_late(environ: Environ, start: Start) -> Iterator[bytes]:
    """The same once bytes are out: the server raises it again."""
    start("200 OK", [TEXT])
    yield b"half"
    try:
        raise ValueError("to be answered")
    except ValueError as problem:
        start("500 Oh", [TEXT], (ValueError, problem, problem.__traceback__))
    yield b"error page"


def view_never_starts(environ: Environ, start: Start) -> Iterable[bytes]:
    return [b"body without a head"]


def view_len_raises(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT])
    return Odd()


class Odd:
    """Legal to iterate over, and to do nothing else with."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"o", b"dd"])

    def __bool__(self) -> bool:
        raise RuntimeError("asked whether")

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            raise AttributeError(name)
        raise RuntimeError(f"asked for {name}")


def view_bytes(environ: Environ, start: Start) -> Iterable[Any]:
    """Not what PEP 3333 says, but what servers take."""
    start("200 OK", [TEXT, ("Content-Length", "3")])
    return b"abc"


def view_header_iterable(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", (TEXT, ("X-In", "a tuple")))
    return [b"tuple of headers"]


def view_wrong_header(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [TEXT, ("X-Number", 5)])
    return [b"number"]


def view_text(environ: Environ, start: Start) -> Iterable[Any]:
    start("200 OK", [TEXT])
    return ["text, not bytes"]


def view_none(environ: Environ, start: Start) -> Any:
    start("200 OK", [TEXT])


def view_file(environ: Environ, start: Start) -> Iterable[bytes]:
    """The server's own way of sending files, with ranges."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(FILE)
    asked = environ.get("HTTP_RANGE", "")
    begin = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
    file.seek(begin)
    size = len(FILE) - begin
    told = [("Content-Range", f"bytes {begin}-{len(FILE) - 1}/{len(FILE)}")] if asked else []
    start("206 Partial Content" if asked else "200 OK", [TEXT, ("Content-Length", str(size)), *told])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(file, 8192) if wrapper else iter(lambda: file.read(8192), b"")


def view_read(environ: Environ, start: Start) -> Iterable[bytes]:
    return reading(environ, start, lambda stream, length: stream.read(length) if length >= 0 else stream.read())


def view_pieces(environ: Environ, start: Start) -> Iterable[bytes]:
    def read(stream: Any, length: int) -> bytes:
        found = b""
        while length < 0 or len(found) < length:
            piece = stream.read(min(7, length - len(found)) if length >= 0 else 7)
            if not piece:
                break
            found += piece
        return found

    return reading(environ, start, read)


def view_lines(environ: Environ, start: Start) -> Iterable[bytes]:
    return reading(environ, start, lambda stream, length: b"|".join(stream) if length < 0 else stream.readline())


def reading(environ: Environ, start: Start, read: Callable[[Any, int], bytes]) -> Iterable[bytes]:
    """Read the body, note how that ended, and tell what came."""
    length = environ.get("CONTENT_LENGTH") or ""
    stream = environ["wsgi.input"]
    known = int(length) if length else -1 if environ.get("wsgi.input_terminated") or chunked(environ) else 0
    try:
        found = read(stream, known)
    except Exception as problem:
        note(f"read raised {type(problem).__name__}")
        raise
    note(f"read {len(found)}")
    start("200 OK", [TEXT])
    return [str(len(found)).encode(), b":", found[-20:]]


def chunked(environ: Environ) -> bool:
    """Whether the server hands on a body without a length."""
    return "HTTP_TRANSFER_ENCODING" in environ and "gunicorn" in environ.get("SERVER_SOFTWARE", "")


def view_ignore(environ: Environ, start: Start) -> Iterable[bytes]:
    start("401 Unauthorized", [TEXT, ("Content-Length", "2")])
    return [b"no"]


def view_duplex(environ: Environ, start: Start) -> Iterator[bytes]:
    """Answer before the body is read, and each piece of the body when it has come."""
    start("200 OK", [TEXT])
    yield b"go on\n"
    yield environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def served() -> Callable[[Environ, Start], Iterable[bytes]]:
    """The app in the mode that the environment names."""
    options = OPTIONS.get(os.environ.get("WIRE_MODE", "plain"))
    if options is None:
        return site
    from metlo_otel.wsgi import WSGIMiddleware

    return WSGIMiddleware(site, "http://127.0.0.1:9", "key", EXCLUDED_URLS="/events", **options)


app = served()
