"""Byte for byte over raw sockets: what ASGI servers send, and what apps are told, is the same with us as without."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from metlo_otel.testing import MemoryCollector
from tests.live.server import Server, free_port

T = TypeVar("T")
pytestmark = pytest.mark.live
MODES = ("plain", "facade", "rule", "detect")
APP = "tests.live.raw_asgi:app"
WAIT = 0.2  # seconds, READ_AHEAD_WAIT
PATIENCE = 1.5  # seconds without a word, after which a server is taken to have nothing to say


def uvicorn(http: str) -> Callable[[MemoryCollector], Server]:
    def start(collector: MemoryCollector) -> Server:
        arguments = ("uvicorn", "--port", "0", "--http", http, "--no-access-log", APP)
        return Server(collector, *arguments, ready="Uvicorn running on", METLO_READ_AHEAD_WAIT=str(WAIT))

    return start


def other(ready: str, *arguments: str) -> Callable[[MemoryCollector], Server]:
    def start(collector: MemoryCollector) -> Server:
        port = free_port()
        filled = [argument.format(port=port) for argument in arguments]
        server = Server(collector, *filled, APP, ready=ready, METLO_READ_AHEAD_WAIT=str(WAIT))
        server.port = port
        return server

    return start


SERVERS = {
    "uvicorn-h11": uvicorn("h11"),
    "uvicorn-httptools": uvicorn("httptools"),
    "hypercorn": other("Running on", "hypercorn", "--bind", "127.0.0.1:{port}"),
    "hypercorn-trio": other("Running on", "hypercorn", "-k", "trio", "--bind", "127.0.0.1:{port}"),
    "daphne": other("Listening on", "daphne", "-b", "127.0.0.1", "-p", "{port}"),
    "granian": other(
        "Listening at",
        "granian",
        "--interface",
        "asgi",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--workers-kill-timeout",
        "1",
    ),
}


# The others take half a minute, and are run by `make servers`.
QUICK = ("uvicorn-h11", "uvicorn-httptools", "hypercorn-trio", "granian")


@pytest.fixture(scope="module", params=SERVERS if os.environ.get("METLO_TEST_SERVERS") == "all" else QUICK)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server, started once."""
    pytest.importorskip(request.param.partition("-")[0])
    with MemoryCollector({}) as collector, SERVERS[request.param](collector) as server:
        yield server


class Line:
    """A client's connection; all that it got is in `got`."""

    def __init__(self, server: Server, mode: str) -> None:
        self._mode = mode.encode()
        self.got = b""
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE)

    def send(self, text: bytes) -> None:
        """Send it, with the mode in the place of `MODE`."""
        self.socket.sendall(text.replace(b"MODE", self._mode))

    def until(self, text: bytes) -> None:
        """Read until that is there."""
        while text not in self.got and self._read():
            pass

    def rest(self) -> bytes:
        """Read to the end; all that was got."""
        while self._read():
            pass
        self.socket.close()
        return self.got

    def _read(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            self.got, data = self.got + _SILENCE, b""
        except ConnectionError:
            data = b""
        self.got += data
        return bool(data)


def head(view: bytes, *headers: bytes, method: bytes = b"GET", version: bytes = b"1.1", close: bool = True) -> bytes:
    """A request's head."""
    more = b"".join(header + b"\r\n" for header in (*headers, *([b"Connection: close"] if close else [])))
    return method + b" /MODE/" + view + b" HTTP/" + version + b"\r\nHost: shop.example\r\n" + more + b"\r\n"


def post(view: bytes, *headers: bytes, close: bool = True) -> bytes:
    """The head of an upload."""
    return head(view, b"Content-Type: text/plain", *headers, method=b"POST", close=close)


CHUNKED = b"Transfer-Encoding: chunked"
EXPECT = b"Expect: 100-continue"
Script = Callable[[Line], Any]


def simply(text: bytes) -> Script:
    """Send it in one piece."""
    return lambda line: line.send(text)


def in_pieces(*pieces: bytes, wait: float = 0.02) -> Script:
    """Send them one after the other."""

    def script(line: Line) -> None:
        for piece in pieces:
            line.send(piece)
            time.sleep(wait)  # a client's slowness is what this is about

    return script


def cut_off(*pieces: bytes) -> Script:
    """Send them, and say no more."""

    def script(line: Line) -> None:
        in_pieces(*pieces)(line)
        line.socket.shutdown(socket.SHUT_WR)

    return script


def answering(*turns: tuple[bytes, bytes]) -> Script:
    """Send, and wait for what that brings about, before more is sent."""

    def script(line: Line) -> None:
        for text, answer in turns:
            line.send(text)
            line.until(answer)

    return script


SCRIPTS: dict[str, Script] = {
    **{view: simply(head(view.encode())) for view in ("chunks", "sized", "empty", "extended", "a_file", "nothing")},
    **{view: simply(head(view.encode())) for view in ("raises_before", "raises_between", "raises_after")},
    "HEAD": simply(head(b"sized", method=b"HEAD")),
    "HTTP/1.0": simply(head(b"chunks", version=b"1.0")),
    "range": simply(head(b"partly", b"Range: bytes=0-2")),
    "pipelining": simply(head(b"sized", close=False) * 2 + post(b"echo", b"Content-Length: 2", close=True) + b"ab"),
    "upload": simply(post(b"echo", b"Content-Length: 5") + b"hello"),
    "upload in pieces": in_pieces(post(b"echo", b"Content-Length: 5"), b"he", b"llo"),
    "upload in chunks": simply(post(b"echo", CHUNKED) + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    "empty upload": simply(post(b"echo", b"Content-Length: 0")),
    "large upload": simply(post(b"echo", b"Content-Length: 200000") + b"x" * 200_000),
    "slow upload": in_pieces(post(b"echo", b"Content-Length: 5"), b"he", b"llo", wait=1.5 * WAIT),
    "bad chunk": simply(post(b"echo", CHUNKED) + b"5\r\nhello\r\nZZ\r\nworld\r\n0\r\n\r\n"),
    "upload cut off": cut_off(post(b"echo", b"Content-Length: 100"), b"hello"),
    "chunk cut off": cut_off(post(b"echo", CHUNKED), b"A\r\nhello"),
    "early": answering((post(b"early", b"Content-Length: 100"), b"no")),
    "early, Expect": answering((post(b"early", b"Content-Length: 100", EXPECT), b"no")),
    "Expect": answering((post(b"echo", b"Content-Length: 5", EXPECT), b"\r\n\r\n"), (b"hello", b"hello")),
    "duplex": answering(
        (post(b"duplex", CHUNKED), b"\r\n\r\n"),
        (b"5\r\nhello\r\n", b"hello"),
        (b"5\r\nworld\r\n", b"world"),
        (b"0\r\n\r\n", b"end"),
    ),
    "leaves": answering((post(b"left", b"Content-Length: 5") + b"hello", b"begun")),
}
_SILENCE = b" and then silence"
_OF_THE_MOMENT = re.compile(rb"(?i)\r\ndate: [^\r]*")


def run(server: Server, mode: str, script: Script) -> bytes:
    """All that a client gets."""
    line = Line(server, mode)
    script(line)
    if script is SCRIPTS["leaves"]:
        line.socket.close()
        return line.got
    return line.rest()


def in_every_mode(client: Callable[[str], T]) -> dict[str, T]:
    """What a client finds in each of them, at once."""
    with ThreadPoolExecutor(len(MODES)) as clients:
        return dict(zip(MODES, clients.map(client, MODES), strict=True))


@pytest.mark.parametrize("name", SCRIPTS)
def test_same_bytes(server: Server, name: str) -> None:
    """The answer is the same, byte for byte, but for its date; and so is what the app was told, once it was told."""
    answers = in_every_mode(lambda mode: _OF_THE_MOMENT.sub(b"", run(server, mode, SCRIPTS[name])))
    if name == "early":  # when a connection ends whose body nobody wants is the server's to choose
        answers = {mode: answer.removesuffix(_SILENCE) for mode, answer in answers.items()}
    assert answers == dict.fromkeys(MODES, answers["plain"])


@pytest.mark.parametrize("after", ["head", "a part", "all", "the answer's begin"])
def test_client_that_leaves(server: Server, after: str) -> None:
    """Wherever a client goes away the app is told what it is told without us."""
    pieces = [post(b"left", b"Content-Length: 5"), b"he", b"llo"]
    sent = {"head": 1, "a part": 2}.get(after, 3)

    def leaving(mode: str) -> list[bytes]:
        before = noted(server, mode)
        line = Line(server, mode)
        in_pieces(*pieces[:sent])(line)
        if after == "the answer's begin":
            line.until(b"begun")
        line.socket.close()
        return until_it_rests(server, mode, before)

    told = in_every_mode(leaving)
    assert told == dict.fromkeys(MODES, told["plain"])


def noted(server: Server, mode: str) -> list[bytes]:
    """What this mode's app has noted."""
    return run(server, mode, simply(head(b"seen"))).partition(b"\r\n\r\n")[2].split(b"\n")


def until_it_rests(server: Server, mode: str, before: list[bytes]) -> list[bytes]:
    """What it notes from then on, once that is something and no more comes."""
    deadline = time.monotonic() + 2.0
    last = noted(server, mode)
    while time.monotonic() < deadline:
        time.sleep(0.1)
        now = noted(server, mode)
        if now == last != before:
            break
        last = now
    return last[len(before) :]
