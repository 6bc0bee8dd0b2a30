"""Taking in the body of a POST within limits: bytes are counted while they are decoded, so a small bomb stays small."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Receive

MAX_BODY = 2_097_152  # bytes of decoded JSON in one POST, as the original collector takes
MAX_WAITING = 64 * 1024 * 1024  # bytes of all bodies that are in the house at once

_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a POST may be: of these media types, of at most `size` bytes once decoded."""

    kinds: tuple[str, ...] = ("application/json",)
    size: int = MAX_BODY


TRACES = Accepted()


class RefusedError(Exception):
    """A request that is not taken: `status` of HTTP, and a `reason` for whoever reads the agent's log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Budget:
    """How many bytes may be in the house at once; used on the event loop's thread only."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.limit = limit
        self.used = 0

    def share(self) -> Share:
        """A part of the budget for one request; give it back with `release`."""
        return Share(self)


class Share:
    """What one request has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, size: int) -> None:
        """Take `size` bytes more. Raises RefusedError (503) where the house is full."""
        if self._budget.used + size > self._budget.limit:
            raise RefusedError(503, "too much is waiting to be stored; try again")
        self._budget.used += size
        self._taken += size

    def release(self) -> None:
        """Give everything back."""
        self._budget.used -= self._taken
        self._taken = 0


class Incoming:
    """A body as ASGI hands it over; remembers whether all of it has been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._complete = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """What has not been read yet. Raises ClientDisconnect where the client goes away."""
        while not self._complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._complete = not message.get("more_body", False)
            yield message.get("body", b"")


class Decoder(Protocol):
    """Decodes a body piece by piece."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """What `data` decodes to, at most `limit` bytes and then one more; raises RefusedError for broken data."""

    def finish(self) -> None:
        """Raises RefusedError where the body ended in the middle."""


class Plain:
    """A body without encoding."""

    def feed(self, data: bytes, limit: int) -> bytes:
        return data[: limit + 1]

    def finish(self) -> None:
        return None


class Inflate:
    """A gzip body (also of several members), or deflate in its two forms: with zlib's header and without."""

    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._bits = 31 if gzip else 15
        self._stream = zlib.decompressobj(self._bits)
        self._started = False

    def feed(self, data: bytes, limit: int) -> bytes:
        if not self._started and data:
            self._started = True
            if not self._gzip and not _has_zlib_header(data):
                self._bits = -15
                self._stream = zlib.decompressobj(self._bits)
        found = b""
        while data and len(found) <= limit:
            found += self._inflate(data, limit + 1 - len(found))
            data = self._stream.unconsumed_tail or self._next_member()
        return found

    def finish(self) -> None:
        if not self._stream.eof:
            raise RefusedError(400, "the compressed body ends in the middle")

    def _inflate(self, data: bytes, limit: int) -> bytes:
        try:
            return self._stream.decompress(data, limit)
        except zlib.error as problem:
            raise RefusedError(400, f"the body is not what Content-Encoding says: {problem}") from None

    def _next_member(self) -> bytes:
        rest = self._stream.unused_data
        if rest and not self._gzip:
            raise RefusedError(400, "the compressed body is followed by something else")
        if rest:
            self._stream = zlib.decompressobj(self._bits)
        return rest


def _has_zlib_header(data: bytes) -> bool:
    """RFC 1950: method 8 in the low bits; the first two bytes are a multiple of 31 (one byte alone: judge by it)."""
    return data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)


def check_headers(headers: Mapping[str, str], accepted: Accepted = TRACES) -> None:
    """Refuse by Content-Type and Content-Length before anything is read."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in accepted.kinds:
        expected = " or ".join(accepted.kinds)
        raise RefusedError(415, f"Content-Type {expected} is expected, not {kind[:100] or 'nothing'}")
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > accepted.size + _BLOCK):
        raise RefusedError(413, f"at most {accepted.size} bytes are taken in one POST, not {length[:20]}")


def find_decoder(headers: Mapping[str, str]) -> Decoder:
    """The decoder for a request's Content-Encoding. Raises RefusedError (415) for one that is not known."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return Plain()
    if encoding in ("gzip", "x-gzip", "deflate"):
        return Inflate(encoding != "deflate")
    raise RefusedError(415, f"Content-Encoding gzip or deflate is expected, or none, not {encoding[:100]}")


async def read_body(chunks: AsyncIterator[bytes], decoder: Decoder, share: Share, accepted: Accepted = TRACES) -> bytes:
    """The whole decoded body. Raises RefusedError: 413 for a long one, 400 for a broken one, 503 without room."""
    body = bytearray()
    raw = 0
    async for chunk in chunks:
        raw += len(chunk)
        for start in range(0, len(chunk), _BLOCK):
            piece = decoder.feed(chunk[start : start + _BLOCK], accepted.size - len(body))
            share.take(len(piece))
            body += piece
            if len(body) > accepted.size or raw > accepted.size + _BLOCK:
                raise RefusedError(413, f"at most {accepted.size} bytes, decoded, are taken in one POST")
    if raw:
        decoder.finish()
    return bytes(body)
