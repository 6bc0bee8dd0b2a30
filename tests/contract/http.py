"""What a client sends and what it gets, as values that every driver understands."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

Headers = tuple[tuple[str, str], ...]
Address = tuple[str, Any]

CLIENT: Address = ("203.0.113.9", 50412)
SERVER: Address = ("198.51.100.1", 8443)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrives at a server: `target` percent-encoded, the body in the pieces it comes in.

    A body that is not `chunked` has a Content-Length, a true one unless `headers` say otherwise; over `http2` it has
    neither. `leaves_after` is the
    number of pieces of the response after which the client is gone; `closes` whether the server calls close() then;
    `on_piece` is told of each piece of the response, by its number, as it reaches the client.
    """

    method: str = "GET"
    target: str = "/"
    headers: Headers = ()
    pieces: tuple[bytes, ...] = ()
    chunked: bool = False
    http2: bool = False
    client: Address = CLIENT
    server: Address = SERVER
    leaves_after: int | None = None
    closes: bool = True
    sendfile: bool = False
    on_piece: Callable[[int], None] | None = field(default=None, compare=False)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)

    @property
    def path(self) -> bytes:
        """The percent-decoded path."""
        return unquote_to_bytes(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        """The raw query."""
        return self.target.partition("?")[2]

    def all_headers(self) -> Headers:
        """The headers with Host and with what tells the body's length."""
        names = {name.lower() for name, _ in self.headers}
        host = () if "host" in names else (("Host", "shop.example"),)
        if self.http2:
            length: Headers = ()
        elif self.chunked:
            length = (("Transfer-Encoding", "chunked"),)
        else:
            known = not self.pieces or "content-length" in names
            length = () if known else (("Content-Length", str(len(self.body))),)
        return (*host, *self.headers, *length)


def get(target: str, *headers: tuple[str, str], **about: Any) -> Call:
    """A GET of `target`."""
    return Call("GET", target, headers, **about)


def post(target: str, body: bytes, kind: str = "application/octet-stream", *headers: tuple[str, str]) -> Call:
    """A POST of `body`, which arrives in one piece."""
    return Call("POST", target, (("Content-Type", kind), *headers), (body,))


def post_json(target: str, value: object) -> Call:
    """A POST of a JSON document."""
    return post(target, json.dumps(value).encode(), "application/json")


@dataclass(slots=True)
class Answer:
    """What the server got to send: equal answers are equal for the client, byte for byte and piece by piece.

    `consumed` counts the bytes of the request's body that were taken from the server, `sendfile` says that the server
    was given a file to send by itself, `raised` which exception came out of the app, `closed` that its end was closed.
    """

    status: int = 0
    headers: Headers = ()
    pieces: list[bytes] = field(default_factory=list)
    raised: str | None = None
    consumed: int = 0
    sendfile: bool = False
    closed: bool = field(default=False, compare=False)

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)

    def take(self, piece: bytes, call: Call) -> None:
        """A piece of the body has reached the client."""
        if call.on_piece is not None:
            call.on_piece(len(self.pieces))
        self.pieces.append(bytes(piece))

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def header_of(request: Any, name: str) -> str | None:
    """A header of a request as frameworks hand it to an app: an object, an environ or a scope."""
    if not isinstance(request, MutableMapping):
        found: str | None = request.headers.get(name)
        return found
    if "headers" in request:
        values = dict(request["headers"])
        return values[name.lower().encode()].decode() if name.lower().encode() in values else None
    return request.get("HTTP_" + name.upper().replace("-", "_"))
