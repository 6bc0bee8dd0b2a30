"""Apps of every shape whose request is rejected while they read: they see a client that is gone, their client 403."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anyio
import flask
import pytest

from metlo_otel.agent import Agent
from metlo_otel.core.exchange import Exchange
from metlo_otel.flask import MetloFlask
from metlo_otel.wsgi import WSGIMiddleware
from tests.capture.asgi_server import LOOPS, RULE, Client, Run, around, closed, piece, scope
from tests.contract import wsgi_driver
from tests.contract.http import Call

ATTACK = b"it is the attack"
WAITS = ("Expect", "100-continue")
CALL = Call("POST", "/", (("Content-Type", "text/plain"), WAITS), (ATTACK,))
FORBIDDEN = (403, b'{"error": "forbidden"}', None)
TEXT = [("Content-Type", "text/plain")]
Events = list[Any]


AGENTS: list[Agent] = []


@pytest.fixture(autouse=True)
def agents_end() -> Iterator[None]:
    """Agents that were made for a test end with it."""
    yield
    while AGENTS:
        AGENTS.pop().shutdown(0)


def end(agent: Agent | None) -> list[Exchange]:
    """The exchanges of this agent, which sends none of them."""
    assert agent is not None
    AGENTS.append(agent)
    found: list[Exchange] = []
    agent._pipeline.put = found.append  # type: ignore[method-assign, assignment]  # where exchanges end
    return found


def noting(events: Events, read: Callable[[], Any]) -> Any:
    """What the app's reading gives or raises."""
    try:
        events.append(read())
    except OSError as problem:
        events.append(type(problem).__mro__[1])
        raise
    return events[-1]


def catching(events: Events, environ: Any, start: Any) -> Iterable[bytes]:
    """It answers by itself."""
    try:
        noting(events, environ["wsgi.input"].read)
    except OSError:
        start("400 Bad Request", TEXT)
        return [b"mine"]
    return []


def trying_again(events: Events, environ: Any, start: Any) -> Iterable[bytes]:
    for _ in range(5):
        try:
            noting(events, lambda: environ["wsgi.input"].read(4))
        except OSError:
            continue
    start("200 OK", TEXT)
    return [b"mine"]


def raising(events: Events, environ: Any, start: Any) -> Iterable[bytes]:
    try:
        noting(events, environ["wsgi.input"].read)
    except OSError as problem:
        raise RuntimeError from problem
    return []


def started_before(events: Events, environ: Any, start: Any) -> Iterable[bytes]:
    start("200 OK", TEXT)
    noting(events, environ["wsgi.input"].read)
    return [b"mine"]


def generating(events: Events, environ: Any, start: Any) -> Iterator[bytes]:
    noting(events, environ["wsgi.input"].read)
    start("200 OK", TEXT)
    yield b"mine"


def generating_after_start(events: Events, environ: Any, start: Any) -> Iterator[bytes]:
    start("200 OK", TEXT)
    try:
        noting(events, environ["wsgi.input"].read)
    except OSError:
        yield b"mine"


def begun(events: Events, environ: Any, start: Any) -> Iterator[bytes]:
    """It answers to each part, as it comes."""
    start("200 OK", TEXT)
    while data := noting(events, lambda: environ["wsgi.input"].read(9)):
        yield data


class Closing:
    """An iterable that reads when it is iterated, and is to be closed once."""

    def __init__(self, events: Events, environ: Any, start: Any) -> None:
        self._events = events
        self._read = environ["wsgi.input"].read
        start("200 OK", TEXT)

    def __iter__(self) -> Iterator[bytes]:
        noting(self._events, self._read)
        return iter([b"mine"])

    def close(self) -> None:
        self._events.append("closed")


def writing(events: Events, environ: Any, start: Any) -> Iterable[bytes]:
    """It has read what it wanted, of which a rule does not like the whole, and writes."""
    events.append(environ["wsgi.input"].read(16))
    start("200 OK", TEXT)(b"mine")
    return [b"more"]


GONE = ConnectionResetError
APPS: dict[str, tuple[Any, Events]] = {
    "catching": (catching, [GONE]),
    "trying again": (trying_again, [b"it i", b"s th", b"e at", GONE, GONE]),
    "raising": (raising, [GONE]),
    "started before": (started_before, [GONE]),
    "generating": (generating, [GONE]),
    "generating after start": (generating_after_start, [GONE]),
    "closing": (Closing, [GONE, "closed"]),
    "writing": (writing, [ATTACK]),
}


LONGER = Call("POST", "/", CALL.headers, (ATTACK, b" and more"))  # of which some is not read


def guarded(app: Any) -> WSGIMiddleware:
    return WSGIMiddleware(app, "http://127.0.0.1:9", "k", RULES=RULE, CONFIG_CACHE="off")


@pytest.mark.parametrize("name", APPS)
def test_wsgi_apps(name: str) -> None:
    """Whatever an app does with the error, nothing of what it answers goes out."""
    app, expected = APPS[name]
    events: Events = []
    middleware = guarded(lambda environ, start: app(events, environ, start))
    exchanges = end(middleware.agent)
    answer = wsgi_driver.serve(middleware, LONGER if name == "writing" else CALL)
    assert (answer.status, answer.body, answer.raised) == FORBIDDEN
    assert events == expected
    (exchange,) = exchanges
    assert (exchange.status, exchange.verdict.blocked, exchange.incomplete) == (403, True, ())
    assert exchange.response_body.content() == FORBIDDEN[1]


def test_a_wsgi_answer_that_has_begun() -> None:
    """It cannot be replaced: the app is told that its client has gone before it has all of the attack."""
    events: Events = []
    middleware = guarded(lambda environ, start: begun(events, environ, start))
    exchanges = end(middleware.agent)
    answer = wsgi_driver.serve(middleware, CALL)
    assert (answer.status, answer.body) == (200, ATTACK[:9])
    assert answer.raised is not None
    assert events == [ATTACK[:9], GONE]
    (exchange,) = exchanges
    assert (exchange.verdict.blocked, exchange.verdict.would_block, exchange.verdict.rule_name) == (
        False,
        True,
        "never",
    )


def flask_app(view: Callable[[], Any], **config: Any) -> tuple[flask.Flask, list[Exchange], Events]:
    app = flask.Flask(__name__)
    app.config.update(config)
    seen: Events = []
    app.add_url_rule("/", view_func=view, methods=["POST"])
    app.after_request(lambda response: seen.append(response.status_code) or response)  # type: ignore[func-returns-value]
    return app, end(MetloFlask(app, "http://127.0.0.1:9", "k", RULES=RULE, CONFIG_CACHE="off").agent), seen


def flask_reading() -> Any:
    return flask.request.get_data()


def flask_catching() -> Any:
    try:
        return flask.request.get_data()
    except Exception:  # noqa: BLE001 - whatever it is
        return "mine"


def flask_streaming() -> Any:
    def stream() -> Iterator[bytes]:
        yield flask.request.get_data()

    return flask.Response(flask.stream_with_context(stream()))


@pytest.mark.parametrize("propagates", [False, True])
@pytest.mark.parametrize(
    "view", [lambda: flask.request.get_data(), lambda: flask.request.stream.read(), flask_catching]
)
def test_flask_views(view: Callable[[], Any], propagates: bool) -> None:
    """A view that raises or answers, also where exceptions come out of the app: 403, which the app's hooks see too."""
    app, exchanges, seen = flask_app(view, PROPAGATE_EXCEPTIONS=propagates)
    answer = wsgi_driver.serve(app, CALL)
    assert (answer.status, answer.body, answer.raised) == FORBIDDEN
    assert seen in ([403], [])
    (exchange,) = exchanges
    assert (exchange.status, exchange.verdict.blocked, exchange.route) == (403, True, "/")


def test_a_flask_view_that_streams() -> None:
    """It reads when its answer is iterated, of which nothing was sent."""
    app, _, _ = flask_app(flask_streaming)
    answer = wsgi_driver.serve(app, CALL)
    assert (answer.status, answer.body, answer.raised) == FORBIDDEN


SENT = [403, b'{"error": "forbidden"}']


def what_was_sent(client: Client) -> list[Any]:
    return [message.get("status", message.get("body")) for message in client.sent]


@pytest.fixture(params=[*LOOPS.values()], ids=[*LOOPS])
def run(request: pytest.FixtureRequest) -> Any:
    """Each loop."""
    return request.param


HEADERS = ((b"content-length", b"16"), (b"expect", b"100-continue"))
PARTS = [piece(b"it is the"), piece(b" attack", more=False)]
GO = {"type": "http.disconnect"}


def asgi(app: Any, run: Run, parts: list[Any]) -> tuple[Client, Exchange]:
    middleware = around(app)
    exchanges = closed(middleware)
    client = Client(list(parts))
    run(lambda: middleware(scope(headers=HEADERS), client.receive, client.send))
    (exchange,) = exchanges
    return client, exchange


@pytest.mark.parametrize("how", ["answers", "raises", "asks again", "says nothing"])
def test_asgi_apps(run: Run, how: str) -> None:
    """An app gets each part at once, but for the last; then its client is gone, and what it sends goes nowhere."""
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        got.extend([await receive(), await receive()])
        if how == "answers":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})
        elif how == "raises":
            raise RuntimeError
        elif how == "asks again":
            got.append(await receive())

    client, exchange = asgi(app, run, PARTS)
    assert got == [PARTS[0], *[GO] * (len(got) - 1)]
    assert what_was_sent(client) == SENT
    assert (exchange.status, exchange.verdict.blocked, exchange.incomplete) == (403, True, ())


def test_a_body_that_nothing_announces(run: Run) -> None:
    """One that comes nevertheless, as from a cloud function, is looked at; that none came is no fact."""
    for parts, expected in ((PARTS, (403, ())), ([piece(b"", more=False)], (200, ()))):

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})

        middleware = around(app)
        exchanges = closed(middleware)
        client = Client(list(parts))
        run(lambda m=middleware, c=client: m(scope(headers=()), c.receive, c.send))  # type: ignore[misc]
        (exchange,) = exchanges
        assert (exchange.status, exchange.incomplete) == expected


def test_an_asgi_answer_that_has_begun(run: Run) -> None:
    """In full duplex each part comes at once; the attack's end does not, and the trace says what would have been."""
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (message := await receive())["type"] == "http.request":
            got.append(message)
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})

    client, exchange = asgi(app, run, PARTS)
    assert got == PARTS[:1]
    assert what_was_sent(client) == [200, b"it is the"]
    assert (exchange.status, exchange.verdict.blocked, exchange.verdict.would_block) == (200, False, True)


def test_an_asgi_app_that_stops_reading(run: Run) -> None:
    """What it has read is decided on before its answer goes out."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"mine"})

    client, _ = asgi(app, run, [piece(ATTACK[:16] + b"s"), piece(b" and more", more=False)])
    assert what_was_sent(client) == SENT
    client, exchange = asgi(app, run, [piece(b"harmless"), piece(b" and more", more=False)])
    assert what_was_sent(client) == [200, b"mine"]
    assert exchange.incomplete == ("expect_continue",)


def test_an_asgi_app_of_two_tasks(run: Run) -> None:
    """One that listens for its client's end while it works is told of it."""
    told: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def listening() -> None:
                while (message := await receive())["type"] != "http.disconnect":
                    pass
                told.append(message)
                tasks.cancel_scope.cancel()

            tasks.start_soon(listening)
            await anyio.sleep_forever()

    client, _ = asgi(app, run, PARTS)
    assert told == [GO]
    assert what_was_sent(client) == SENT


def test_a_user_asked_for_by_the_body() -> None:
    """GET_USER may read the body: what it has read is decided on, and the view still gets all of it."""
    asked: list[bytes] = []

    def user(environ: Any) -> str:
        asked.append(environ["wsgi.input"].read())
        return "ada"

    def app(environ: Any, start: Any) -> Iterable[bytes]:
        start("200 OK", TEXT)
        return [b"mine"]

    rules = [{"name": "ada", "block": True, "user": "ada", "body": {"contains": "the attack"}}]
    middleware = WSGIMiddleware(app, "http://127.0.0.1:9", "k", RULES=rules, CONFIG_CACHE="off", GET_USER=user)
    end(middleware.agent)
    assert wsgi_driver.serve(middleware, CALL).status == 403
    assert asked


def test_nothing_is_left_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A late rejection is no failure of ours."""
    app, _, _ = flask_app(flask_reading)
    wsgi_driver.serve(app, CALL)
    ours = [record for record in caplog.records if record.name == "metlo_otel"]
    assert [record.getMessage() for record in ours if record.levelname == "ERROR"] == []
