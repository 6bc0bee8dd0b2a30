"""Reading ahead of the app in WSGI: it reads the same bytes again, with whatever it reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.capture.streams import TeeInput
from metlo_otel.capture.wsgi import ahead
from metlo_otel.core.exchange import Body
from tests.contract.http import Call
from tests.contract.wsgi_driver import make_environ

ATTACK = b"the attack"


def test_input_that_does_not_end() -> None:
    """A WSGI server that does not end its input leaves a body without a length unread: reading would never end."""
    environ = make_environ(Call("POST", "/", (), (ATTACK,), chunked=True))
    stream, body = environ["wsgi.input"], Body(100)
    environ["wsgi.input"] = TeeInput(stream, body)
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


WAYS_TO_READ: dict[str, Callable[[Any], bytes]] = {
    "read": lambda stream: stream.read(),
    "pieces": lambda stream: b"".join(iter(lambda: stream.read(7), b"")),
    "lines": lambda stream: b"".join(stream),
    "readlines": lambda stream: b"".join(stream.readlines()),
    "io.BufferedReader": lambda stream: io.BufferedReader(stream).read(),
    "io.TextIOWrapper": lambda stream: (
        io.TextIOWrapper(io.BufferedReader(stream), "latin-1", newline="").read().encode("latin-1")
    ),
    "read1": lambda stream: b"".join(iter(lambda: stream.read1(5), b"")),
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
    content = b"first\nsecond\r\n\nfourth" * 20
    body = Body(100_000)
    stream: Any = STREAMS[kind](content)
    tee = TeeInput(stream, body)
    tee.ahead(limit)
    assert body.content() == content[:limit]
    assert read(tee) == content
    assert (body.size, body.content()) == (len(content), content)
