"""Reading ahead of an ASGI app: it gets every message, and every error, where it would have got it without us."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from tests.capture.asgi_server import LOOPS, Client, Run, around, closed, piece, scope

GONE = {"type": "http.disconnect"}


class BrokenError(Exception):
    """What a server, or a layer around us, raises where a body ends too early."""


SCRIPTS: dict[str, list[Any]] = {
    "whole": [piece(b"hello", more=False), GONE],
    "pieces": [piece(b"he"), piece(b""), piece(b"llo", more=False), GONE],
    "cut off": [piece(b"he"), GONE],
    "gone at once": [GONE],
    "broken at once": [BrokenError("0"), GONE],
    "broken later": [piece(b"he"), BrokenError("1"), GONE],
    "broken, then more": [piece(b"he"), BrokenError("1"), piece(b"llo", more=False)],
    "a bytearray": [piece(bytearray(b"hello"), more=False)],
    "a memoryview": [piece(memoryview(b"hello"), more=False)],
    "no keys": [{"type": "http.request"}, GONE],
    "no more_body": [{"type": "http.request", "body": b"x"}, GONE],
    "no type": [{"body": b"hello"}, GONE],
    "rubbish": [None, "text", 7, GONE],
    "unknown": [{"type": "http.unheard_of", "body": b"x"}, piece(b"x", more=False)],
    "text": [piece("hello", more=False)],
}


@pytest.fixture(params=[*LOOPS.values()], ids=[*LOOPS])
def run(request: pytest.FixtureRequest) -> Any:
    """Each loop."""
    return request.param


def reading(times: int) -> tuple[Any, list[Any]]:
    """An app that asks so often, and what it got: messages, or what was raised in the place of one."""
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        for _ in range(times):
            try:
                got.append(await receive())
            except Exception as problem:  # noqa: BLE001 - whatever comes, it is compared
                got.append(problem)

    return app, got


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_every_message_and_error_in_its_place(run: Run, script: list[Any]) -> None:
    """The very objects come in the very order, as without us."""
    app, got = reading(len(script))
    client = Client(script)
    middleware = around(app)
    run(lambda: middleware(scope(), client.receive, client.send))
    assert len(got) == len(script)
    assert all(ours is given for ours, given in zip(got, script, strict=True))


@pytest.mark.parametrize("wait", [0, 0.05])
def test_what_has_not_come_in_time(run: Run, wait: float) -> None:
    """The app starts after the wait and gets what came late, which is then looked at too."""
    app, got = reading(3)
    late: list[anyio.Event] = []

    async def started(scope: Any, receive: Any, send: Any) -> None:
        late[0].set()
        await app(scope, receive, send)

    middleware = around(started, READ_AHEAD_WAIT=wait)
    exchanges = closed(middleware)
    pieces = [piece(b"he"), piece(b"llo", more=False), GONE]

    async def main() -> None:
        late.append(anyio.Event())
        client = Client([pieces[0], late[0], *pieces[1:]])
        await middleware(scope(), client.receive, client.send)

    run(main)
    assert got == pieces
    (exchange,) = exchanges
    assert exchange.incomplete == ()
    assert (exchange.request_body.content(), exchange.request_body.size) == (b"hello", 5)


def test_what_has_come_is_complete(run: Run) -> None:
    """A body that is there leaves nothing to say, and is noted once."""
    app, _ = reading(2)
    middleware = around(app)
    exchanges = closed(middleware)
    client = Client([piece(b"he"), piece(b"llo", more=False)])
    run(lambda: middleware(scope(), client.receive, client.send))
    (exchange,) = exchanges
    assert (exchange.incomplete, exchange.request_body.content(), exchange.request_body.size) == ((), b"hello", 5)


NOTHING_TO_READ: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "GET": ((), {}, ()),
    "no length": ((), {"method": "POST"}, ()),
    "length 0": (((b"content-length", b"0"),), {}, ()),
    "expect": (((b"content-length", b"5"), (b"expect", b"100-Continue")), {}, ("expect_continue",)),
    "expect in HTTP/2": (((b"expect", b"100-continue"),), {"http_version": "2"}, ("expect_continue",)),
}


@pytest.mark.parametrize("name", NOTHING_TO_READ)
def test_never_asks_for_what_the_app_does_not(run: Run, name: str) -> None:
    """No `receive` of ours before a request without a body, or one whose client waits to be asked for it."""
    headers, more, incomplete = NOTHING_TO_READ[name]
    app, _ = reading(0)
    middleware = around(app)
    exchanges = closed(middleware)
    client = Client([piece(b"hello", more=False)])
    run(lambda: middleware(scope(**{"method": "GET", **more, "headers": headers}), client.receive, client.send))
    assert client.asked == 0
    assert exchanges[0].incomplete == incomplete


@pytest.mark.parametrize("more", [{"http_version": "2"}, {"http_version": "3"}])
def test_http2_announces_no_body(run: Run, more: dict[str, Any]) -> None:
    """There a body needs no header: what is there is read ahead."""
    app, got = reading(1)
    client = Client([piece(b"hello", more=False)])
    middleware = around(app)
    exchanges = closed(middleware)
    run(lambda: middleware(scope(headers=(), **more), client.receive, client.send))
    assert (len(got), exchanges[0].request_body.content()) == (1, b"hello")


def test_who_stops_waiting_loses_nothing(run: Run) -> None:
    """An app that gives up a `receive`, as one that asks whether the client is still there, gets its message later."""
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        for _ in range(3):
            with anyio.move_on_after(0.01):
                got.append(await receive())
        with anyio.CancelScope() as given_up:
            given_up.cancel()
            got.append(await receive())
        late[0].set()
        got.extend([await receive(), await receive()])

    late: list[anyio.Event] = []
    middleware = around(app, READ_AHEAD_WAIT=0.01)
    message = piece(b"hello", more=False)

    async def main() -> None:
        late.append(anyio.Event())
        client = Client([late[0], message, GONE])
        await middleware(scope(), client.receive, client.send)

    run(main)
    assert got == [message, GONE]


def test_two_that_ask_at_once(run: Run) -> None:
    """Two tasks that wait at once get a message each, none twice, none lost."""
    got: list[Any] = []

    async def ask(receive: Any) -> None:
        got.append(await receive())

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, receive)
            group.start_soon(ask, receive)
            await anyio.wait_all_tasks_blocked()
            late[0].set()

    late: list[anyio.Event] = []
    middleware = around(app, READ_AHEAD_WAIT=0.01)

    async def main() -> None:
        late.append(anyio.Event())
        client = Client([late[0], piece(b"one"), piece(b"two", more=False)])
        await middleware(scope(), client.receive, client.send)

    run(main)
    assert sorted(message.get("body", b"") for message in got) in ([b"one", b"two"], [b"", b"one"])


def test_a_pending_receive_ends_with_the_request(run: Run) -> None:
    """A client that never sends its body leaves no task behind once the app has answered."""
    ended: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    async def never() -> Any:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        await around(app, READ_AHEAD_WAIT=0.01)(scope(), never, send)
        await anyio.wait_all_tasks_blocked()

    run(main)
    assert ended == ["ended"]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_a_request_that_is_cancelled_while_we_read(run: Run) -> None:
    """A server that ends a request while we wait for its body ends our waiting too."""

    async def main() -> None:
        app, got = reading(1)
        never: Any = anyio.sleep_forever
        with anyio.move_on_after(0.01) as moved:
            await around(app, READ_AHEAD_WAIT=60)(scope(), never, Client(()).send)
        assert (moved.cancelled_caught, got) == (True, [])
        await anyio.wait_all_tasks_blocked()

    run(main)


def test_a_loop_that_we_do_not_know() -> None:
    """Where there is neither asyncio's loop nor Trio's, nothing is read ahead; what the app reads is looked at."""
    app, got = reading(1)
    client = Client([piece(b"hello", more=False)])
    middleware = around(app)
    exchanges = closed(middleware)
    call = middleware(scope(), client.receive, client.send)
    with pytest.raises(StopIteration):
        call.send(None)
    assert [message["body"] for message in got] == [b"hello"]
    assert exchanges[0].incomplete == ()


@pytest.mark.parametrize("end", ["app", "cancelled"])
def test_an_error_that_nobody_takes(end: str) -> None:
    """What was raised for an app that never asks is nobody's: no complaint of asyncio's, whatever ends the request."""
    loop = LOOPS["asyncio"]

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        if end == "cancelled":
            raise asyncio.CancelledError

    async def main() -> None:
        try:
            await around(app)(scope(), Client([BrokenError("0")]).receive, Client(()).send)
        except asyncio.CancelledError:
            assert end == "cancelled"

    loop(main)
