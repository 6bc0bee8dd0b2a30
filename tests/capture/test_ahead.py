"""Reading ahead of the app in WSGI: it reads the same bytes again, with whatever it reads."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.wsgi import LimitedStream

from metlo_otel.capture.ahead import ReadAhead
from metlo_otel.capture.streams import teed
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.request import EnvironRequest
from tests.contract.http import Call
from tests.contract.wsgi_driver import make_environ

ATTACK = b"the attack"


def looked(environ: dict[str, Any], limit: int = 100, wait: float = 0.0) -> Exchange:
    """The exchange of a request whose body was read ahead, as far as that may be."""
    exchange = Exchange(EnvironRequest(environ), 100)
    environ["wsgi.input"] = teed(environ["wsgi.input"], exchange.request_body)
    ReadAhead(exchange, environ, environ["wsgi.input"], wait, Guard(RateLimitedLog(logging.getLogger())))(limit)
    return exchange


def test_input_that_does_not_end() -> None:
    """A WSGI server that does not end its input leaves a body without a length unread: reading would never end."""
    environ = make_environ(Call("POST", "/", (), (ATTACK,), chunked=True))
    stream = environ["wsgi.input"]
    body = looked({**environ, "wsgi.input_terminated": False}).request_body
    assert (stream.taken, body.size) == (0, 0)
    body = looked(environ).request_body
    assert (stream.taken, body.content()) == (len(ATTACK), ATTACK)


def test_a_length_that_is_a_number() -> None:
    """Test clients give CONTENT_LENGTH as a number, against PEP 3333: the body is looked at all the same."""
    environ = make_environ(Call("POST", "/", (), (ATTACK,)))
    assert looked({**environ, "CONTENT_LENGTH": len(ATTACK)}).request_body.content() == ATTACK


def test_a_client_that_waits_to_be_asked() -> None:
    """A server that asks for the body at the first reading is not made to: that is for the app to do."""
    environ = {**make_environ(Call("POST", "/", (), (ATTACK,), chunked=True)), "HTTP_EXPECT": "100-continue"}
    stream = environ["wsgi.input"]
    exchange = looked(environ)
    assert (stream.taken, exchange.request_body.size) == (0, 0)
    assert exchange.late is not None
    assert exchange.late.reason == "expect_continue"


class Broken:
    """A stream that fails after some content: `short` ones give less than they are asked for before they do."""

    def __init__(self, content: bytes, short: bool) -> None:
        self._stream = io.BytesIO(content)
        self._short = short
        self.failures = 0

    def read(self, size: int = -1) -> bytes:
        begin = self._stream.tell()
        data = self._stream.read(size)
        if data and (self._short or len(data) == size):
            return data if size >= 0 else self._fail()
        self._stream.seek(begin)
        return self._fail()

    def readline(self, size: int = -1) -> bytes:
        line = self._stream.readline(size)
        return line if line.endswith(b"\n") else self._fail()

    def readlines(self, _hint: int = -1) -> list[bytes]:
        return list(iter(self.readline, b""))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        return self.readline()

    def _fail(self) -> bytes:
        self.failures += 1
        if self.failures > 1:
            return b""
        raise ConnectionResetError("in the body")


def heard(stream: Any, read: Callable[[Any], bytes]) -> tuple[list[bytes], str]:
    """What an app gets of its stream, and what is raised then."""
    got: list[bytes] = []
    try:
        while data := read(stream):
            got.append(data)
    except (OSError, StopIteration) as problem:
        return got, repr(problem)
    return got, "the end"


READINGS: dict[str, Callable[[Any], bytes]] = {
    "all": lambda stream: stream.read(),
    "as one": lambda stream: stream.read(100),
    "in pieces": lambda stream: stream.read(3),
    "lines": lambda stream: stream.readline(),
    "next": next,
    "readlines": lambda stream: b"".join(stream.readlines()),
    "iteration": lambda stream: b"".join(stream),
}


@pytest.mark.parametrize("read", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("content", [b"", b"one\ntwo\nthree"])
def test_what_reading_raises_is_the_apps(read: Callable[[Any], bytes], short: bool, content: bytes) -> None:
    """A body that breaks off is never taken for a complete one: the app gets as much, and then the same error."""
    plain = heard(Broken(content, short), read)
    tee = teed(Broken(content, short), Body(100))
    tee.ahead(100)
    assert "in the body" in plain[1]
    ours = heard(tee, read)
    assert ours[1] == plain[1]
    assert b"".join(plain[0]).startswith(b"".join(ours[0]))
    assert ours[0] == plain[0] or not short


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
