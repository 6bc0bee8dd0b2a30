"""Uploads on real servers: with a rule that looks at bodies the app gets what it gets without, and about as soon."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

import pytest

from metlo_otel.testing import MemoryCollector
from tests.live.server import Server, free_port

pytestmark = pytest.mark.live

APP = "tests.live.uploads:app"
LENGTH = b"Content-Length: 10"
CHUNKED = b"Transfer-Encoding: chunked"
Case = tuple[str, bytes, list[bytes], str]

# Path, header, what is sent piece by piece (b"" is a pause, None in its place would be the end), what is seen of it
CASES: dict[str, Case] = {
    "whole": ("/read", LENGTH, [b"0123456789"], "b'01234567' "),
    "in two pieces": ("/read", LENGTH, [b"01234", b"56789"], "b'01234567' "),
    "chunks": ("/read", CHUNKED, [b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n"], "b'hellowor' "),
    "a malformed chunk": ("/read", CHUNKED, [b"5\r\nhello\r\nZZ\r\nworld\r\n0\r\n\r\n"], "b'hello' "),
    "cut chunks": ("/read", CHUNKED, [b"5\r\nhello\r\nA\r\nwor", b"FIN"], "b'hellowor' "),
    "cut": ("/read", LENGTH, [b"01234", b"FIN"], "b'01234' "),
    "refused": ("/refuse", LENGTH, [], ""),
    "refused before 100": ("/refuse", LENGTH + b"\r\nExpect: 100-continue", [], ""),
}


def gunicorn(*options: str) -> Callable[[MemoryCollector], Server]:
    return lambda to: Server(to, "gunicorn", "--bind", "127.0.0.1:0", *options, APP, ready="Booting worker")


def of(kind: str) -> Callable[[MemoryCollector], Server]:
    return lambda to: Server(to, "tests.live.uploads", kind, ready="Listening at")


def granian(to: MemoryCollector) -> Server:
    port = str(free_port())
    options = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", port, "--blocking-threads", "2")
    return Server(to, "granian", *options, APP, ready="Started worker-1")


def waitress(to: MemoryCollector) -> Server:
    return Server(to, "waitress", f"--listen=127.0.0.1:{free_port()}", APP, ready="Serving on")


SERVERS: dict[str, Callable[[MemoryCollector], Server]] = {
    "gunicorn": gunicorn(),
    "gunicorn threads": gunicorn("--threads", "2"),
    "gunicorn gevent": gunicorn("-k", "gevent"),
    "werkzeug": of("werkzeug"),
    "wsgiref": of("wsgiref"),
    "gevent": of("gevent"),
    "granian": granian,
    "waitress": waitress,
}
NOT_DONE = {
    "wsgiref": {"chunks", "a malformed chunk", "cut chunks"},  # which it does not decode
    "waitress": {
        "a malformed chunk",
        "refused",
        "refused before 100",
        "cut",
        "cut chunks",
    },  # it asks the app when it has the whole body
    "granian": {"chunks", "a malformed chunk", "cut chunks", "cut"},  # below
}


def ask(server: Server, path: str, header: bytes, pieces: list[bytes]) -> tuple[str, bytes, str, float]:
    """The status line without its version, the body, what was seen ahead, and the seconds that it took."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n".encode()
        connection.sendall(head + header + b"\r\n\r\n" + b"".join(pieces[:1]))
        for piece in pieces[1:]:
            time.sleep(0.05)  # so that it comes by itself
            if piece == b"FIN":
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.sendall(piece)
        began = time.monotonic()
        received = b""
        while not received.endswith(b"no") and (data := connection.recv(65536)):
            received += data
    took = time.monotonic() - began
    *_, head, body = received.split(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    seen = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("x-seen")]
    return lines[0].partition(" ")[2], received.count(b"100 Continue") * b"100, " + body, "".join(seen), took


@pytest.mark.parametrize("name", SERVERS)
def test_uploads_are_as_without_the_agent(collector: MemoryCollector, name: str) -> None:
    """A broken body raises what it raises, an early refusal waits a moment at most, and a 100 is the server's."""
    with SERVERS[name](collector) as server:
        server.get("/plain/refuse")
        for case, (path, header, pieces, expected) in CASES.items():
            if case in NOT_DONE.get(name, ()):
                continue
            plain = ask(server, "/plain" + path, header, pieces)
            ours = ask(server, "/ours" + path, header, pieces)
            assert ours[:2] == plain[:2], case
            assert ours[3] < plain[3] + 1.0, case
            assert ours[2] == expected.strip(), case
        if name != "waitress":
            comes_too_late(server)
            is_rejected_late(server)
        if name in ("werkzeug", "gevent"):  # the others wait for more before they give any
            is_answered_in_between(server)


def comes_too_late(server: Server) -> None:
    """The app gets all of a slow body, of which the beginning alone was there in time."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"POST /ours/read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + LENGTH + b"\r\n\r\n01234")
        time.sleep(0.5)  # longer than the app's READ_AHEAD_WAIT
        connection.sendall(b"56789")
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.endswith(b"all: 0123456789")
    assert b"read_ahead_wait" in received


def is_rejected_late(server: Server) -> None:
    """A body that is sent when it is asked for, or too slowly, is looked at when the app reads it: nobody evades."""
    attack = b"what never comes"
    for header, first in ((b"\r\nExpect: 100-continue", b""), (b"", attack[:5])):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            head = b"POST /ours/read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 16" + header
            connection.sendall(head + b"\r\n\r\n" + first)
            select.select([connection], [], [], 0.5)  # for a 100, or longer than the app's READ_AHEAD_WAIT
            connection.sendall(attack[len(first) :])
            received = b""
            while data := connection.recv(65536):
                received += data
        assert b" 403 Forbidden\r\n" in received, (header, received)
        assert received.endswith(b'forbidden"}')


def is_answered_in_between(server: Server) -> None:
    """A client that waits for the answer to its first words before it goes on gets it."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"POST /ours/answer HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n\r\n5\r\nhello\r\n")
        received = b""
        while b"hello" not in received:
            received += connection.recv(65536)
        connection.sendall(b"0\r\n\r\n")


def test_a_cut_body_on_granian(collector: MemoryCollector) -> None:
    """granian gives nothing, and raises nothing, for a body that breaks off: never is part of one given as all.

    One in chunks is looked at when the app reads it.
    """
    with granian(collector) as server:
        assert ask(server, "/plain/read", LENGTH, [b"01234", b"FIN"])[1] == b"all: "
        assert ask(server, "/ours/read", LENGTH, [b"01234", b"FIN"])[1] == b"raised: OSError"
        for case in ("chunks", "a malformed chunk", "cut chunks"):
            _, header, pieces, _ = CASES[case]
            plain = ask(server, "/plain/read", header, pieces)
            assert ask(server, "/ours/read", header, pieces)[:2] == plain[:2]
            assert plain[1] == (b"all: helloworld" if case == "chunks" else b"all: ")
        attack = b"10\r\nwhat never comes\r\n0\r\n\r\n"
        assert ask(server, "/ours/read", CHUNKED, [attack])[0] == "403 Forbidden"
