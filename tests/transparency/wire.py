"""What clients send over raw sockets, good and bad, byte by byte, and what they get, with the gaps between."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

PATIENCE = 2.0  # seconds that a client waits for more
_SERVERS_PATIENCE = 10.0  # seconds that a busy server may take to tell of its events
_SOON, _LATE = 0.03, 0.4  # seconds in which nothing more happens to an app
_GAP = 0.06  # seconds of silence that part what comes
_DATE = re.compile(rb"(?i)\r\ndate: [^\r]+")

Step = bytes | float | str
"""Bytes to send, seconds to wait, `end` (of what is sent), `reset`, `hang up`, or `await X`: receive until X came."""


@dataclass(frozen=True)
class Seen:
    """What a client got, in runs without a gap, how it ended, and what the app has lived through meanwhile."""

    got: tuple[bytes, ...]
    ended: str
    events: tuple[str, ...]

    @property
    def content(self) -> tuple[bytes, str, tuple[str, ...]]:
        """All of it but the time."""
        return b"".join(self.got), self.ended, self.events

    def like(self, plain: Seen) -> bool:
        """Whether this is the same, with nothing held back that came by itself plain; a busy machine makes new gaps."""
        return self.content == plain.content and len(self.got) >= len(plain.got)


def request(
    method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1", keep: bool = False
) -> bytes:
    """A request; the connection closes with the answer unless `keep`."""
    told = ["Host: shop.example", *headers, *([] if keep else ["Connection: close"])]
    return f"{method} {path} HTTP/{version}\r\n{''.join(line + chr(13) + chr(10) for line in told)}\r\n".encode() + body


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A POST that says how long it is."""
    return request("POST", path, f"Content-Length: {len(body)}", *headers, body=body)


def chunks(*parts: bytes) -> bytes:
    """A chunked body without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


_CHUNKED = "Transfer-Encoding: chunked"
_ANSWERS = (
    "hello no-length tuple empty empty-chunks 204 304 too-long too-short stream late-start write closing "
    "closing-raises raises raises-started raises-first raises-between raises-sized raises-after again again-late "
    "never-starts len-raises bytes header-iterable wrong-header text none file"
).split()
_READERS = ("read", "pieces", "lines")
_BODY = b"first line\nsecond line\n" * 30
_LARGE = bytes(range(256)) * 1200

SCRIPTS: dict[str, Sequence[Step]] = {
    **{f"GET {name}": [request("GET", f"/{name}")] for name in _ANSWERS},
    **{
        f"HEAD {name}": [request("HEAD", f"/{name}")]
        for name in ("hello", "no-length", "stream", "file", "raises-first")
    },
    **{f"1.0 {name}": [request("GET", f"/{name}", version="1.0")] for name in ("hello", "no-length", "raises-between")},
    **{f"POST {name}": [post(f"/{name}", _BODY)] for name in _READERS},
    **{f"POST large {name}": [post(f"/{name}", _LARGE)] for name in ("read", "ignore")},
    **{f"POST nothing {name}": [post(f"/{name}", b"")] for name in _READERS},
    **{f"POST in two {name}": [post(f"/{name}", _BODY)[:-300], 0.15, _BODY[-300:]] for name in _READERS},
    **{
        f"POST chunked {name}": [
            request("POST", f"/{name}", _CHUNKED),
            chunks(b"ab", _BODY),
            0.1,
            chunks(b"c"),
            b"0\r\n\r\n",
        ]
        for name in _READERS
    },
    **{
        f"chunked, cut {name}": [request("POST", f"/{name}", _CHUNKED), chunks(b"hello"), b"9\r\nwor", "end"]
        for name in _READERS
    },
    **{
        f"chunked, wrong size {name}": [
            request("POST", f"/{name}", _CHUNKED),
            chunks(b"hello"),
            b"zz\r\nworld\r\n0\r\n\r\n",
        ]
        for name in _READERS
    },
    **{f"length, cut {name}": [post(f"/{name}", _BODY)[:-300], "end"] for name in _READERS},
    **{f"reset in the body {name}": [post(f"/{name}", _BODY)[:-300], 0.1, "reset"] for name in _READERS},
    **{f"hang up in the body {name}": [post(f"/{name}", _BODY)[:-300], 0.1, "hang up"] for name in _READERS},
    "trailers": [request("POST", "/read", _CHUNKED, "Trailer: X-Sum"), chunks(b"ab"), b"0\r\nX-Sum: 5\r\n\r\n"],
    "expect, read": [request("POST", "/read", "Content-Length: 5", "Expect: 100-continue"), 0.2, b"hello"],
    "expect, not read": [request("POST", "/ignore", "Content-Length: 5", "Expect: 100-continue"), "await 401"],
    "early answer": [post("/ignore", _BODY)[:-300], "await 401"],
    "full duplex": [post("/duplex", _BODY)[:-300], "await go on", _BODY[-300:]],
    "pipelined": [request("GET", "/hello", keep=True) + request("GET", "/no-length")],
    "pipelined after a body": [
        request("POST", "/read", "Content-Length: 3", body=b"abc", keep=True) + request("GET", "/hello")
    ],
    "pipelined after what nobody read": [
        request("POST", "/ignore", "Content-Length: 3", body=b"abc", keep=True) + request("GET", "/hello")
    ],
    "kept alive": [request("GET", "/hello", keep=True), "await hello", 0.1, request("GET", "/tuple")],
    "range": [request("GET", "/file", "Range: bytes=49990-")],
    "in pieces": [b"GET /hel", 0.1, b"lo HTTP/1.1\r\nHost: sh", 0.1, b"op\r\nConnection: close\r\n\r\n"],
    "half closed": [request("GET", "/stream"), "end"],
    "reset in the stream": [request("GET", "/stream"), "await chunk 1", "reset"],
    "reset in a long answer": [request("GET", "/long"), "await xxx", "reset"],
    "hang up in a long answer": [request("GET", "/long"), "await xxx", "hang up"],
    "reset at once": [request("GET", "/closing"), "reset"],
    "odd path": [request("GET", "/a%01b//../c%FF?x=%E4&&=;")],
    "odd headers": [
        request("GET", "/hello", "X-Empty:", "X-Latin: \xe4", "Cookie: a=1; a=2", "X-Twice: 1", "X-Twice: 2")
    ],
    "no request": [b"nonsense\r\n\r\n"],
    "unknown method": [request("BREW", "/hello")],
    "two lengths": [request("POST", "/read", "Content-Length: 3", "Content-Length: 4", body=b"abcd")],
    "length and chunks": [request("POST", "/read", "Content-Length: 3", _CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")],
}


def play(port: int, steps: Sequence[Step]) -> Seen:
    """Do as a script says; what the client saw."""
    ask_events(port, clear=True)
    got: list[bytes] = []
    ended = "left"
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for step in steps:
                _step(client, step, got)
            if client.fileno() >= 0 and steps[-1] not in ("reset", "hang up"):
                ended = _receive(client, got, b"")
        except OSError:  # the server has closed before all was sent
            ended = _receive(client, got, b"")
    settles = (
        _LATE if {"end", "reset", "hang up"}.intersection(step for step in steps if isinstance(step, str)) else _SOON
    )
    return Seen(tuple(_DATE.sub(b"\r\nDate: -", run) for run in got), ended, settled_events(port, settles))


def _step(client: socket.socket, step: Step, got: list[bytes]) -> None:
    if isinstance(step, bytes):
        client.sendall(step)
    elif isinstance(step, float):
        time.sleep(step)
    elif step == "end":
        client.shutdown(socket.SHUT_WR)
    elif step == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        got.clear()  # how much had come by then is a matter of chance
    elif step == "hang up":
        client.close()
        got.clear()
    else:
        _receive(client, got, step.removeprefix("await ").encode())


def _receive(client: socket.socket, got: list[bytes], until: bytes) -> str:
    """Receive until `until` has come, else to the end; how that was."""
    came = 0.0
    deadline = time.monotonic() + PATIENCE
    while not (until and until in b"".join(got)):
        client.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            data = client.recv(65536)
        except TimeoutError:
            return "nothing more"
        except OSError:
            return "closed"  # with or without a reset is a matter of what the server had not read by then
        if not data:
            return "closed"
        now = time.monotonic()
        if got and now - came < _GAP:
            got[-1] += data
        else:
            got.append(data)
        came = now
    return "going on"


def ask_events(port: int, clear: bool = False) -> tuple[str, ...]:
    """What the app says that has happened to it."""
    with socket.create_connection(("127.0.0.1", port), _SERVERS_PATIENCE) as client:
        client.sendall(request("GET", "/events?clear" if clear else "/events", version="1.0"))
        answer = b""
        while data := client.recv(65536):
            answer += data
    return tuple(json.loads(answer.partition(b"\r\n\r\n")[2]))


def settled_events(port: int, settles: float) -> tuple[str, ...]:
    """The same, once nothing more happens for `settles` seconds: a server notices late that its client has left."""
    seen = ask_events(port)
    for _ in range(20):
        time.sleep(settles)
        now = ask_events(port)
        if now == seen:
            break
        seen = now
    return seen
