"""One request as bytes, the trick that it plays, and the values that it carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, quote_plus

ATTACK = "1' union select name, password from users--"
WORD, HARMLESS = "evilcanary", "goodcanary"
PATH, OTHER_PATH = "evil/canary", "good/canary"
METHOD, OTHER_METHOD = "DELETE", "PUT"
NAME = "q"  # of the parameter or field
HEADER = "X-Role"

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A request: `target` as it is sent; `wire` are the very bytes instead, which only a real server can read."""

    method: bytes = b"GET"
    target: bytes = b"/echo"
    headers: Headers = ()
    body: bytes = b""
    wire: bytes = b""

    def with_header(self, name: bytes, value: bytes) -> Message:
        """The same with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def sent(self, *more: tuple[bytes, bytes]) -> bytes:
        """The bytes of an HTTP/1.1 connection that asks this alone."""
        if self.wire:
            lines = b"".join(b"%s: %s\r\n" % pair for pair in more)
            return self.wire.replace(b"\r\n", b"\r\nHost: shop.example\r\nConnection: close\r\n" + lines, 1)
        fixed = ((b"Host", b"shop.example"), (b"Connection", b"close"), *more, *self.headers)
        length = ((b"Content-Length", b"%d" % len(self.body)),) if self.body else ()
        lines = b"".join(b"%s: %s\r\n" % pair for pair in (*fixed, *length))
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (self.method, self.target, lines, self.body)


Build = Callable[[str], Message]


@dataclass(frozen=True, slots=True)
class Trick:
    """A way to say a value in a place; `build` makes the request that says it.

    One that is `telling` is an attack in itself, such as a NUL, whatever the value.
    """

    place: str
    name: str
    build: Build
    telling: bool = False

    @property
    def id(self) -> str:
        """What tests call it."""
        return f"{self.place}-{self.name}"

    @property
    def values(self) -> tuple[str, str, str]:
        """What a rule forbids here, what is harmless beside it, and an attack; empty where there can be none."""
        if self.place == "path":
            return PATH, OTHER_PATH, ATTACK
        if self.place == "method":
            return METHOD, OTHER_METHOD, ""
        return WORD, HARMLESS, ATTACK


def get(target: bytes, *headers: tuple[bytes, bytes], method: bytes = b"GET") -> Message:
    """A request without a body."""
    return Message(method, target, headers)


def post(body: bytes, kind: bytes | None, *headers: tuple[bytes, bytes], target: bytes = b"/echo") -> Message:
    """A request with a body of this Content-Type, None for none."""
    typed = ((b"Content-Type", kind),) if kind is not None else ()
    return Message(b"POST", target, (*typed, *headers), body)


def plus(value: str) -> bytes:
    """As browsers encode a form."""
    return quote_plus(value).encode()


def pct(value: str, encoding: str = "utf-8") -> bytes:
    """Every byte percent-encoded."""
    return b"".join(b"%%%02X" % byte for byte in value.encode(encoding))


def step(value: str) -> bytes:
    """As browsers encode a path."""
    return quote(value).encode()
