"""Legal but rare: whatever an ASGI app or server says, and however, the other side gets what it gets without us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from tests.capture.asgi_server import LOOPS, Client, around, closed, scope

PAIRS = [(b"content-type", b"text/html"), (b"set-cookie", b"a=b")]
END = {"type": "http.response.body", "body": b"x"}


class Once:
    """An iterable that gives its items to the first who asks."""

    def __init__(self, items: Any) -> None:
        self._items: Iterator[Any] = iter(items)

    def __iter__(self) -> Iterator[Any]:
        return self._items


class Own(list[Any]):
    """A list that is not to be read before the server does."""

    read = False

    def __iter__(self) -> Iterator[Any]:
        self.read = True
        return super().__iter__()


HEADERS: dict[str, Callable[[], Any]] = {
    "list": lambda: list(PAIRS),
    "tuple": lambda: tuple(PAIRS),
    "lists in a list": lambda: [list(pair) for pair in PAIRS],
    "iterator": lambda: iter(PAIRS),
    "generator": lambda: (pair for pair in PAIRS),
    "items": lambda: dict(PAIRS).items(),
    "once": lambda: Once(PAIRS),
    "own": lambda: Own(PAIRS),
    "iterators in an iterator": lambda: iter([iter(pair) for pair in PAIRS]),
    "map": lambda: map(tuple, PAIRS),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_any_shape(name: str) -> None:
    """A server reads all headers, once, and the exchange has them."""
    headers = HEADERS[name]()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(END)

    got: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not getattr(headers, "read", False)
            got.extend(tuple(pair) for pair in message["headers"])

    middleware = around(app)
    exchanges = closed(middleware)
    asyncio.run(middleware(scope("GET", ()), Client(()).receive, send))
    assert got == PAIRS
    assert [tuple(pair) for pair in exchanges[0].response_headers] == PAIRS


def test_headers_that_raise_raise_in_the_server() -> None:
    """An iterator that fails half way does so where it is read."""

    def failing() -> Iterator[Any]:
        yield PAIRS[0]
        raise LookupError

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        with pytest.raises(LookupError):
            await send({"type": "http.response.start", "status": 200, "headers": failing()})

    async def send(message: Any) -> None:
        list(message["headers"])

    asyncio.run(around(app)(scope("GET", ()), Client(()).receive, send))


class Mapped(dict[str, Any]):
    """A message of the app's own kind."""


MESSAGES: dict[str, list[Any]] = {
    "plain": [{"type": "http.response.start", "status": 200, "headers": []}, END],
    "no headers": [{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}],
    "headers none": [{"type": "http.response.start", "status": 200, "headers": None}, END],
    "own kind": [Mapped(type="http.response.start", status=200, headers=PAIRS), Mapped(END)],
    "bytearray": [{"type": "http.response.start", "status": 200}, {**END, "body": bytearray(b"x")}],
    "memoryview": [{"type": "http.response.start", "status": 200}, {**END, "body": memoryview(b"x")}],
    "text": [{"type": "http.response.start", "status": 200}, {**END, "body": "x"}],
    "status of another kind": [{"type": "http.response.start", "status": "200"}, END],
    "trailers": [
        {"type": "http.response.start", "status": 200, "trailers": True},
        {**END, "more_body": False},
        {"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": False},
    ],
    "early hints": [{"type": "http.response.early_hint", "links": [b"</a>"]}, {"type": "http.response.start"}, END],
    "push": [{"type": "http.response.push", "path": "/a", "headers": []}],
    "path": [{"type": "http.response.start", "status": 200}, {"type": "http.response.pathsend", "path": "/a"}],
    "zero copy": [{"type": "http.response.start", "status": 200}, {"type": "http.response.zerocopysend", "file": 1}],
    "debug": [{"type": "http.response.debug", "info": {"template": object()}}],
    "unknown": [{"type": "of.another.day"}],
    "no type": [{}],
    "rubbish": [None, 7, "text", object(), []],
    "twice": [{"type": "http.response.start", "status": 200}] * 2 + [END, END],
    "body first": [END, {"type": "http.response.start", "status": 200}],
}


@pytest.mark.parametrize("keyword", [False, True])
@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_the_very_ones(name: str, keyword: bool) -> None:
    """Each message that an app sends is the object that the server gets, whatever it is."""
    messages = MESSAGES[name]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await (send(message=message) if keyword else send(message))

    client = Client(())
    asyncio.run(around(app)(scope("GET", ()), client.receive, client.send))
    assert len(client.sent) == len(messages)
    assert all(got is given for got, given in zip(client.sent, messages, strict=True))


class Scope(dict[str, Any]):
    """A scope of the server's own kind."""


def iterator_of_headers() -> Any:
    return iter([(b"host", b"shop.example")])


SCOPES: dict[str, Callable[[], Any]] = {
    "own kind": lambda: Scope(scope("GET", ())),
    "no headers": lambda: {"type": "http", "method": "GET", "path": "/"},
    "a tuple of headers": lambda: scope("GET", [(b"host", b"shop.example")]),
    "an iterator": lambda: scope("GET", iterator_of_headers()),
    "given once": lambda: scope("GET", Once(iterator_of_headers())),
    "items": lambda: scope("GET", dict(iterator_of_headers()).items()),
    "only a type": lambda: {"type": "http"},
}


@pytest.mark.parametrize("name", SCOPES)
def test_scopes_of_any_shape(name: str) -> None:
    """The app gets the server's own scope, and reads all headers of it."""
    given = SCOPES[name]()
    plain = list(SCOPES[name]().get("headers") or ())
    got: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        got.extend([scope, list(scope.get("headers") or ())])

    middleware = around(app)
    exchanges = closed(middleware)
    asyncio.run(middleware(given, Client(()).receive, Client(()).send))
    assert got[0] is given
    assert got[1] == plain
    assert len(exchanges[0].request.headers()) == len(plain)


@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
def test_send_after_the_app_has_returned(run: Any) -> None:
    """A `send` that was kept still reaches the server, from another task, and takes any message."""
    client = Client(())

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def app(_scope: Any, _receive: Any, send: Any) -> None:
                async def later() -> None:
                    await returned.wait()
                    for message in MESSAGES["plain"]:
                        await send(message)

                group.start_soon(later)

            returned = anyio.Event()
            await around(app)(scope("GET", ()), client.receive, client.send)
            returned.set()

    run(main)
    assert client.sent == MESSAGES["plain"]


def apps_of_asgi_2() -> Iterator[Any]:
    """Callables that take the scope and give one that takes the rest, as servers for ASGI 2 call them."""

    async def run(_receive: Any, send: Any) -> None:
        for message in MESSAGES["plain"]:
            await send(message)

    class Consumer:
        def __init__(self, scope: Any) -> None:
            assert scope["type"] == "http"

        async def __call__(self, receive: Any, send: Any) -> None:
            await run(receive, send)

    def function(_scope: Any) -> Callable[[Any, Any], Awaitable[None]]:
        return run

    yield from (Consumer, function)


@pytest.mark.parametrize("app", [*apps_of_asgi_2()])
def test_apps_of_asgi_2(app: Any) -> None:
    """An app of two steps is served by ours, which is of one."""
    client = Client(())
    asyncio.run(around(app)(scope("GET", ()), client.receive, client.send))
    assert client.sent == MESSAGES["plain"]
