"""A collector that has a fault, another one whenever it is told so."""

from __future__ import annotations

import gzip
import json
import select
import socket
import struct
import threading
import time
import zlib
from contextlib import suppress
from typing import BinaryIO

FAULTS = (
    "ok", "refuse", "hang", "status 500", "status 401", "status 413", "status 429", "slow", "reset in the answer",
    "reset at once", "garbage", "cut answer",
)  # fmt: skip
_SLOW = 1.5  # seconds
_BEFORE_STATUS, _AFTER_STATUS = 10, 20  # bytes of `HTTP/1.1 200 X`, and what follows
_PATIENCE = 30.0  # seconds that a connection is kept


class FaultyCollector:
    """Listens at `port`. `fault` is one of FAULTS; `taken` counts the traces that were told 200."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.fault = "ok"
        self.taken = 0
        self.taken_at = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def change(self, fault: str) -> None:
        """Have this fault from now on, on connections that are open too."""
        self.fault = fault

    def end(self) -> None:
        """Listen no more."""
        self._ended.set()
        self._thread.join(5)
        self._listener.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            if self.fault == "refuse":
                self._refuse()
            elif select.select([self._listener], [], [], 0.1)[0]:
                with suppress(OSError):
                    client = self._listener.accept()[0]
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _refuse(self) -> None:
        """Nobody listens, as long as this lasts."""
        self._listener.close()
        while self.fault == "refuse" and not self._ended.wait(0.05):
            pass
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(_PATIENCE)
        with client, suppress(OSError), client.makefile("rb") as stream:
            while (line := stream.readline()) and self._answer(client, line, _rest(stream)):
                pass

    def _answer(self, client: socket.socket, line: bytes, body: bytes) -> bool:
        """Answer one request; whether the connection stays."""
        fault = self.fault
        if fault == "hang":
            while self.fault == "hang" and not self._ended.wait(0.1):
                pass
            return False
        if fault in ("reset at once", "refuse"):
            _reset(client)
            return False
        if fault == "slow":
            time.sleep(_SLOW)
        answer = _text(fault, b"{}" if line.startswith(b"GET") else b"OK")
        if fault in ("reset in the answer", "cut answer"):
            client.sendall(answer[: _BEFORE_STATUS if fault == "reset in the answer" else _AFTER_STATUS])
            if fault == "reset in the answer":
                _reset(client)
        else:
            client.sendall(answer)
        if fault in ("ok", "slow", "cut answer") and line.startswith(b"POST"):
            self._took(len(json.loads(body)))
        return fault not in ("garbage", "reset in the answer", "cut answer")

    def _took(self, count: int) -> None:
        with self._lock:
            self.taken += count
            self.taken_at = time.monotonic()


def _rest(stream: BinaryIO) -> bytes:
    """The headers and the body of a request, the body as it was before it was compressed."""
    headers: dict[str, str] = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    encoding = headers.get("content-encoding", "")
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _text(fault: str, body: bytes) -> bytes:
    if fault == "garbage":
        return b"\x00\xff\r\n\r\nHTTP? no.\r\n" * 20
    status = fault.removeprefix("status ") if fault.startswith("status") else "200"
    return b"HTTP/1.1 %b X\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%b" % (
        status.encode(), len(body), body,
    )  # fmt: skip


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
