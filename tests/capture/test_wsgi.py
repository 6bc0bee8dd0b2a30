"""What a WSGI server and an app can tell of each other is the same with the capture between them."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from metlo_otel.capture.streams import TeeInput, teed
from metlo_otel.core.current import CARRIED
from metlo_otel.core.exchange import Body
from metlo_otel.wsgi import WSGIMiddleware

Environ = dict[str, Any]


class Sized:
    """An iterable that knows how many chunks it has, as servers ask to compute a Content-Length."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"


class Chunks(list[bytes]):
    """A list of an app's own."""


def answer(result: Iterable[bytes], environ: Environ) -> Iterable[bytes]:
    """What the server gets back of an app that answers with `result`."""

    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return result

    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k")
    assert middleware.agent is not None
    try:
        return middleware(environ, lambda *_: lambda _data: None)
    finally:
        middleware.agent.shutdown(0)


@pytest.mark.parametrize("result", [Sized(), Chunks([b"hello"]), [b"hello"], (b"hello",)])
def test_an_iterable_with_a_length_keeps_it(result: Any) -> None:
    """Servers ask for it to give a response its Content-Length."""
    given = answer(result, {})
    assert len(given) == 1  # type: ignore[arg-type]  # that is the question
    assert b"".join(given) == b"hello"


@pytest.mark.parametrize("written", [b"", b"so far"])
def test_an_app_that_raises_after_start_response(written: bytes) -> None:
    """Nothing has gone out by then, so the server answers 500, unless the app has written some of its answer."""

    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        write = start_response("200 OK", [("X-Answer", "1")])
        if written:
            write(written)
        raise LookupError

    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k")
    assert middleware.agent is not None
    environ: Environ = {}
    with pytest.raises(LookupError):
        middleware(environ, lambda *_: lambda _data: None)
    middleware.agent.shutdown(0)
    exchange = environ[CARRIED]
    told = exchange.status, list(exchange.response_headers), exchange.response_body.content()
    assert told == ((200, [("X-Answer", "1")], written) if written else (500, [], b""))


def test_an_iterable_without_a_length_gets_none() -> None:
    """Else a server would compute a wrong length."""
    with pytest.raises(TypeError):
        len(answer(iter([b"a", b"b"]), {}))  # type: ignore[arg-type]  # that is the question


def test_what_a_function_wrapped_as_a_file_comes_back_as_it_is() -> None:
    """uWSGI's wsgi.file_wrapper is a function, and it knows the very object that it made."""
    made = io.BytesIO(b"file")
    environ: Environ = {"wsgi.file_wrapper": lambda file, _size=0: file}

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        found: Iterable[bytes] = environ["wsgi.file_wrapper"](made, 1)
        return found

    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k")
    assert middleware.agent is not None
    assert middleware(environ, lambda *_: lambda _data: None) is made
    middleware.agent.shutdown(0)


class Named(io.BytesIO):
    """A stream of a server's that takes its arguments by name too."""

    def readline(self, size: int | None = -1) -> bytes:
        return super().readline(size)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        return super().readlines(hint)


class TestTeeInput:
    """The stream that an app reads from."""

    def tee(self) -> tuple[TeeInput, Body]:
        """A stream of two lines, and where they are noted."""
        body = Body(100)
        return teed(Named(b"one\ntwo\n"), body), body

    def test_takes_what_the_stream_takes(self) -> None:
        """Keyword arguments and next() included, and all of it is noted."""
        stream, body = self.tee()
        assert stream.readline(size=2) == b"on"
        assert next(stream) == b"e\n"
        assert stream.readlines(hint=1) == [b"two\n"]
        assert body.content() == b"one\ntwo\n"
        with pytest.raises(StopIteration):
            next(stream)

    @pytest.mark.parametrize("name", ["readinto", "read1", "seek", "close"])
    def test_goes_with_its_request(self, name: str) -> None:
        """What is looked up on it makes no cycle, in which the server's stream would stay until one is looked for."""
        stream = Named(b"one\ntwo\n")
        gone = weakref.ref(stream)
        tee = teed(stream, Body(100))
        gc.disable()
        try:
            assert callable(getattr(tee, name))
            del tee, stream
            assert gone() is None
        finally:
            gc.enable()

    def test_can_be_copied_like_the_stream(self) -> None:
        """A copy reads what the stream reads, rather than ask itself for ever."""
        stream, _ = self.tee()
        assert copy.copy(stream).read() == b"one\ntwo\n"
