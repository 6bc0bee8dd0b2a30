"""Reading ahead of the app in WSGI: it reads the same bytes again, with whatever it reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.wsgi import LimitedStream

from metlo_otel.capture.streams import teed
from metlo_otel.capture.wsgi import ahead
from metlo_otel.core.exchange import Body
from tests.contract.http import Call
from tests.contract.wsgi_driver import make_environ

ATTACK = b"the attack"


def test_input_that_does_not_end() -> None:
    """A WSGI server that does not end its input leaves a body without a length unread: reading would never end."""
    environ = make_environ(Call("POST", "/", (), (ATTACK,), chunked=True))
    stream, body = environ["wsgi.input"], Body(100)
    environ["wsgi.input"] = teed(stream, body)
    ahead({**environ, "wsgi.input_terminated": False}, 100)
    assert (stream.taken, body.size) == (0, 0)
    ahead(environ, 100)
    assert (stream.taken, body.content()) == (len(ATTACK), ATTACK)


class Unseekable(io.RawIOBase):
    """A stream as servers give it, with all that io has."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._body.readinto(buffer)


class Server:
    """A stream with no more than PEP 3333 asks for, as gunicorn's."""

    def __init__(self, body: bytes) -> None:
        stream = io.BytesIO(body)
        self.read, self.readline, self.readlines = stream.read, stream.readline, stream.readlines
        self._lines = stream.__iter__
        self._line = stream.__next__

    def __iter__(self) -> Iterator[bytes]:
        return self._lines()

    def __next__(self) -> bytes:
        return self._line()


def werkzeug_reads(stream: Any) -> bytes:
    """As Flask reads a body of known length."""
    return LimitedStream(stream, len(CONTENT)).read()


CONTENT = b"first\nsecond\r\n\nfourth" * 20
WAYS_OF_PEP_3333: dict[str, Callable[[Any], bytes]] = {
    "read": lambda stream: stream.read(),
    "pieces": lambda stream: b"".join(iter(lambda: stream.read(7), b"")),
    "lines": lambda stream: b"".join(stream),
    "readlines": lambda stream: b"".join(stream.readlines()),
    "next": lambda stream: b"".join(iter(lambda: next(stream, b""), b"")),
    "werkzeug": werkzeug_reads,
}
WAYS_TO_READ: dict[str, Callable[[Any], bytes]] = {
    **WAYS_OF_PEP_3333,
    "io.BufferedReader": lambda stream: io.BufferedReader(stream).read(),
    "io.TextIOWrapper": lambda stream: (
        io.TextIOWrapper(io.BufferedReader(stream), "latin-1", newline="").read().encode("latin-1")
    ),
    "read1": lambda stream: b"".join(iter(lambda: stream.read1(5), b"")),
    "readinto1": lambda stream: into(stream.readinto1),
    "readinto": lambda stream: into(stream.readinto),
}
STREAMS: dict[str, Callable[[bytes], Any]] = {
    "seekable": io.BytesIO,
    "buffered": lambda body: io.BufferedReader(Unseekable(body), 16),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("read", WAYS_TO_READ.values(), ids=WAYS_TO_READ)
@pytest.mark.parametrize("limit", [1, 20, 10_000])
def test_every_way_to_read(kind: str, read: Callable[[Any], bytes], limit: int) -> None:
    """Whatever an app reads with, it reads the same bytes after a look ahead, and each of them is noted once."""
    check(STREAMS[kind](CONTENT), read, limit)


@pytest.mark.parametrize("read", WAYS_OF_PEP_3333.values(), ids=WAYS_OF_PEP_3333)
@pytest.mark.parametrize("limit", [1, 20, 10_000])
def test_every_way_to_read_a_servers_stream(read: Callable[[Any], bytes], limit: int) -> None:
    """The same with a stream that has only what it must have: nobody finds more on it after the look ahead."""
    check(Server(CONTENT), read, limit)


@pytest.mark.parametrize("looks", [False, True], ids=["as it came", "looked ahead"])
def test_readall(looks: bool) -> None:
    """A raw stream's own readall() gives all of the body, also where some of it was read ahead."""
    body = Body(100_000)
    tee = teed(Unseekable(CONTENT), body)
    if looks:
        tee.ahead(5)
    assert (tee.readall(), body.content()) == (CONTENT, CONTENT)


@pytest.mark.parametrize("name", ["read1", "readall", "readinto", "readinto1", "seek", "fileno"])
def test_has_no_more_than_the_stream(name: str) -> None:
    """What a server's stream has not is not found on ours: frameworks would use it, before and after a look ahead."""
    tee = teed(Server(CONTENT), Body(10))
    assert not hasattr(tee, name)
    tee.ahead(10)
    assert not hasattr(tee, name)


def test_a_stream_that_raises_when_asked_for_names() -> None:
    """It is teed like any other: a request that is not looked at would pass every rule."""

    class Strict(Server):
        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    body = Body(100)
    assert (teed(Strict(b"hello"), body).read(), body.content()) == (b"hello", b"hello")


def check(stream: Any, read: Callable[[Any], bytes], limit: int) -> None:
    body = Body(100_000)
    tee = teed(stream, body)
    tee.ahead(limit)
    assert body.content() == CONTENT[:limit]
    assert read(tee) == CONTENT
    assert (body.size, body.content()) == (len(CONTENT), CONTENT)


def into(readinto: Callable[[Any], int]) -> bytes:
    buffer, found = bytearray(11), b""
    while count := readinto(buffer):
        found += bytes(buffer[:count])
    return found
