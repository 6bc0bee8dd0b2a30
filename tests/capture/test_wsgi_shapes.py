"""Legal but rare shapes of apps, servers and requests: with the capture between them each sees what it sees without."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metlo_otel.capture.wsgi import WSGIApp
from metlo_otel.core.current import CARRIED
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.wsgi import WSGIMiddleware

Environ = dict[str, Any]
RULE = [{"name": "never", "block": True, "body": {"contains": "what never comes"}}]


class Server:
    """A server that notes what an app does: how start_response is called, what is written, what is given."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start_response(self, *args: Any, **kwargs: Any) -> Callable[[bytes], object]:
        self.told.append((args, kwargs))
        return self.write

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def serve(self, app: WSGIApp, environ: Environ) -> list[Any]:
        try:
            result = app(environ, self.start_response)
            self.told.append(sized(result))
            try:
                self.told += result or ["nothing"]
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except Exception as problem:  # noqa: BLE001 - whatever an app may raise
            self.told.append(repr(problem))
        return self.told


def sized(result: Any) -> Any:
    try:
        return len(result)
    except Exception as problem:  # noqa: BLE001 - that is the question
        return type(problem)


class Rows:
    """An iterable that notes what it is asked for."""

    def __init__(self, length: Any = 2, truth: Any = True, chunks: tuple[bytes, ...] = (b"a", b"b")) -> None:
        self.asked: list[str] = []
        self.length, self.truth, self.chunks = length, truth, chunks

    def __iter__(self) -> Iterator[bytes]:
        self.asked.append("iter")
        if not self.chunks:
            raise LookupError("no chunks")
        return iter(self.chunks)

    def __len__(self) -> int:
        self.asked.append("len")
        if isinstance(self.length, Exception):
            raise self.length
        return int(self.length)


class Truth(Rows):
    """One that has no truth."""

    def __bool__(self) -> bool:
        raise AssertionError("nobody asks for this before PEP 3333 says so")


class Text(str):
    """A text of an app's own."""

    __slots__ = ()


def started(*result: Any, **kwargs: Any) -> Callable[[], WSGIApp]:
    """Makes an app that calls start_response so and returns that."""

    def make() -> WSGIApp:
        def app(_environ: Environ, start_response: Any) -> Any:
            args = kwargs.get("args", ("200 OK", [("X-A", "1")]))
            start_response(*args, **kwargs.get("named", {}))
            return result[0]() if callable(result[0]) else result[0]

        return app

    return make


def writing() -> WSGIApp:
    def app(_environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"written")
        return []

    return app


def twice() -> WSGIApp:
    def app(_environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            raise LookupError
        except LookupError as problem:
            start_response("500 Oh", [("X", "2")], (type(problem), problem, None))
        return [b"oh"]

    return app


def late() -> WSGIApp:
    def app(_environ: Environ, start_response: Any) -> Any:
        start_response("201 Created", [])
        yield b"late"

    return app


def changing() -> WSGIApp:
    def app(_environ: Environ, start_response: Any) -> Any:
        headers = [("X", "1")]
        start_response("200 OK", headers)
        headers.clear()
        return (b"x",)

    return app


APPS: dict[str, Callable[[], WSGIApp]] = {
    "length raises": started(lambda: Rows(TypeError("unknown"))),
    "length raises another": started(lambda: Rows(LookupError())),
    "length 0": started(lambda: Rows(0)),
    "iter raises": started(lambda: Rows(chunks=())),
    "no truth": started(lambda: Truth()),
    "bytes": started(b"bytes"),
    "bytearray": started(lambda: bytearray(b"bytes")),
    "text": started("text"),
    "None": started(None),
    "empty": started([]),
    "tuple": started((b"a",)),
    "generator": started(lambda: (chunk for chunk in (b"a", b"b"))),
    "iterator": started(lambda: iter([b"a"])),
    "map": started(lambda: map(bytes, [b"a"])),
    "headers in a tuple": started([b"a"], args=("200 OK", (("X", "1"),))),
    "headers in lists": started([b"a"], args=("200 OK", [["X", "1"]])),
    "headers of a dict": started([b"a"], args=("200 OK", {"X": "1"}.items())),
    "keywords": started([b"a"], args=(), named={"status": "200 OK", "headers": []}),
    "exc_info": started([b"a"], args=("200 OK", []), named={"exc_info": None}),
    "exc_info by place": started([b"a"], args=("200 OK", [], None)),
    "a status of its own kind": started([b"a"], args=(Text("204 No"), [])),
    "write": writing,
    "twice": twice,
    "late": late,
    "changing": changing,
}


def plain_and_ours(make: Callable[[], WSGIApp], environ: Callable[[], Environ]) -> tuple[Any, Any, Exchange | None]:
    """What a server is told without the agent and with it, and the exchange."""
    plain = Server().serve(make(), environ())
    middleware = WSGIMiddleware(make(), "http://127.0.0.1:9", "k", rules=RULE, config_cache="off")
    assert middleware.agent is not None
    with_ours = environ()
    try:
        ours = Server().serve(middleware, with_ours)
    finally:
        middleware.agent.shutdown(0)
    assert middleware.agent.guard.failures == 0
    return plain, ours, with_ours.get(CARRIED)


@pytest.mark.parametrize("name", [name for name in APPS if name != "no truth"])
def test_a_server_is_told_the_same(name: str) -> None:
    """The calls with their arguments, each chunk, the length, what is raised; and the exchange has ended."""
    plain, ours, exchange = plain_and_ours(APPS[name], dict)
    assert repr(ours) == repr(plain)
    assert exchange is not None
    assert exchange.on_close is None
    assert exchange.status > 0


def test_nobody_is_asked_for_more_than_without_us() -> None:
    """An iterable is asked for its length and its iterator when the server asks, and as often."""
    rows = Truth()
    middleware = WSGIMiddleware(started(lambda: rows)(), "http://127.0.0.1:9", "k", config_cache="off")
    assert middleware.agent is not None
    result = middleware({}, Server().start_response)
    assert rows.asked == []
    assert list(result) == [b"a", b"b"]
    assert rows.asked.count("iter") == 1
    assert list(result) == [b"a", b"b"]
    middleware.agent.shutdown(0)


def test_headers_that_can_be_read_once_are_the_servers() -> None:
    """PEP 3333 asks for a list; a server that takes less gets all of them."""
    app = started([b"a"], args=("200 OK", iter([("X", "1")])))()
    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k", config_cache="off")
    assert middleware.agent is not None
    server = Server()
    server.serve(middleware, {})
    assert list(server.told[0][0][1]) == [("X", "1")]
    middleware.agent.shutdown(0)


class Strict(io.RawIOBase):
    """granian's input: it takes no size below 0."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int | None = None) -> bytes:
        if size is not None and size < 0:
            raise OverflowError("can't convert negative int to unsigned")
        return self._content.read(size)

    def readline(self) -> bytes:  # type: ignore[override]  # PEP 3333 does without a size
        return self._content.readline()


def reading() -> WSGIApp:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        stream = environ.get("wsgi.input")
        return [stream.readline() + stream.read() if stream is not None else b"nothing to read"]

    return app


ENVIRONS: dict[str, Callable[[], Environ]] = {
    "strict input": lambda: {"wsgi.input": Strict(b"one\ntwo"), "CONTENT_LENGTH": "7"},
    "terminated": lambda: {"wsgi.input": Strict(b"one\ntwo"), "CONTENT_LENGTH": "7", "wsgi.input_terminated": True},
    "no input": lambda: {"CONTENT_LENGTH": "7"},
    "None": lambda: {"wsgi.input": None, "CONTENT_LENGTH": "7"},
    "no protocol": lambda: {"wsgi.input": io.BytesIO(b"x"), "SERVER_PROTOCOL": None},
    "no length": lambda: {"wsgi.input": io.BytesIO(b"x"), "CONTENT_LENGTH": None},
    "a dict of its own kind": lambda: type("Own", (dict,), {})({"wsgi.input": io.BytesIO(b"x"), "CONTENT_LENGTH": "1"}),
}


@pytest.mark.parametrize("environ", ENVIRONS.values(), ids=ENVIRONS)
def test_an_app_reads_the_same(environ: Callable[[], Environ]) -> None:
    """Whatever a server gives for input, with a rule that looks at it."""
    plain, ours, exchange = plain_and_ours(reading, environ)
    assert ours == plain
    assert exchange is not None


class Faulty(Body):
    """A buffer that fails at everything."""

    def add(self, data: object) -> None:
        raise LookupError

    add_anew = add


@pytest.mark.parametrize("name", ["decides", "close", "add"])
def test_what_is_ours_may_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything of ours that raises in the request's thread is logged, and neither app nor server hears of it."""

    def fail(*_: Any) -> None:
        raise LookupError

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"first")
        stream = environ["wsgi.input"]
        yield from (stream.read(1), stream.readline(), *stream.readlines())

    def environ() -> Environ:
        return {"wsgi.input": io.BytesIO(b"one\ntwo\nthree"), "CONTENT_LENGTH": "13"}

    plain = Server().serve(app, environ())
    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k", config_cache="off")
    agent = middleware.agent
    assert agent is not None
    with monkeypatch.context() as patched:
        if name == "decides":
            patched.setattr(type(agent), "decides", property(fail))
        elif name == "close":
            patched.setattr(Exchange, "close", fail)
        else:
            patched.setattr("metlo_otel.core.exchange.Body", Faulty)
        assert Server().serve(middleware, environ()) == plain
    agent.shutdown(0)
