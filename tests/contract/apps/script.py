"""What the apps under test have in common: fixed contents, and a script by which a test directs and watches them."""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNKS = (b"chunk0\n", b"chunk1\n", "chunk2 \u4e16\n".encode(), b"chunk3\n")
EVENTS = (b"data: one\n\n", b"data: two\n\n", b"event: end\ndata: three\n\n")
BINARY = bytes(range(256))
DOCUMENT = json.dumps({"name": "report", "rows": list(range(20))}).encode()
GZIPPED = gzip.compress(DOCUMENT, mtime=0)
REPEATED = (("X-Shelf", "a"), ("X-Shelf", "b"), ("Set-Cookie", "sid=1; Path=/"), ("Set-Cookie", "theme=dark; Path=/"))
ERROR = "the till is on fire"

FILE = Path(tempfile.gettempdir()) / "metlo-otel-tests" / "report.json"
FILE.parent.mkdir(exist_ok=True)
if not FILE.exists() or FILE.read_bytes() != DOCUMENT:  # other runs may be serving it
    FILE.write_bytes(DOCUMENT)


@dataclass(slots=True)
class Script:
    """What `/scripted` answers, and what the app noted while it ran."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = ()
    streamed: bool = False
    events: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def forget(self) -> None:
        """Begin anew."""
        self.status, self.headers, self.pieces, self.streamed = 200, (), (), False
        self.events.clear()
        self.asked.clear()


SCRIPT = Script()


def as_json(value: object) -> bytes:
    """The bytes of a JSON answer, the same from every framework."""
    return json.dumps(value, sort_keys=True).encode()


def form_of(fields: dict[str, list[str]]) -> bytes:
    """The answer of `/form`."""
    return as_json({"form": fields})


def upload_of(fields: dict[str, list[str]], files: dict[str, int]) -> bytes:
    """The answer of `/upload`: fields, and files by their size."""
    return as_json({"form": fields, "files": files})


def seen(method: str, query: str, body: bytes) -> bytes:
    """The answer of `/echo`: what the app has seen."""
    return as_json({"method": method, "query": query, "body": body.decode("latin-1")})


def count(sizes: list[int]) -> bytes:
    """The answer of the routes that read a body in pieces: how many bytes they had each time."""
    return as_json({"read": sizes})
