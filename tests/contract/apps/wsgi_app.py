"""The shop as a plain WSGI app, without any framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from email import message_from_bytes
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from metlo_otel.core.current import set_user
from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
JSON = "application/json"


def make() -> Callable[[Environ, Start], Iterable[bytes]]:
    """A new app."""
    return app


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    if "HTTP_X_CUSTOMER" in environ:
        environ["shop.user"] = environ["HTTP_X_CUSTOMER"]
    name, _, rest = environ["PATH_INFO"].lstrip("/").partition("/")
    view = ROUTES.get(name, missing)
    environ["shop.rest"] = rest
    return view(environ, start)


def user_of(environ: Environ) -> object:
    """What a GET_USER of this app would be."""
    return environ.get("shop.user")


def answer(start: Start, body: bytes, kind: str = JSON, status: int = 200, *headers: tuple[str, str]) -> list[bytes]:
    start(line(status), [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [body]


def line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def read(environ: Environ) -> bytes:
    return bytes(environ["wsgi.input"].read())


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.seen(environ["REQUEST_METHOD"], environ["QUERY_STRING"], read(environ)))


def read_json(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.as_json({"got": json.loads(read(environ))}))


def read_form(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.form_of(parse_qs(read(environ).decode())))


def upload(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.upload_of(*parse_upload(environ["CONTENT_TYPE"], read(environ))))


def parse_upload(kind: str, body: bytes) -> tuple[dict[str, list[str]], dict[str, int]]:
    """A multipart form: its fields, and its files by their size."""
    whole = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields, files = {}, {}
    for part in whole.walk():
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        name = str(part.get_param("name", header="content-disposition"))
        if part.get_filename():
            files[name] = len(content)
        else:
            fields[name] = [content.decode()]
    return fields, files


def ignore(environ: Environ, start: Start) -> Iterable[bytes]:
    SCRIPT.events.append("ignored")
    return answer(start, b"ignored", "text/plain")


def raw(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.count([len(piece) for piece in iter(lambda: environ["wsgi.input"].read(7), b"")]))


def first(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.count([len(environ["wsgi.input"].read(10))]))


def lines(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.count([len(line) for line in environ["wsgi.input"]]))


def generate(pieces: tuple[bytes, ...]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        SCRIPT.events.append(f"made {number}")
        yield piece


def stream(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return generate(script.CHUNKS)


def sse(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/event-stream")])
    return generate(script.EVENTS)


def endless(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            yield b"tick\n"
    finally:
        SCRIPT.events.append("ended")


def boom(environ: Environ, start: Start) -> Iterable[bytes]:
    raise RuntimeError(script.ERROR)


def late_boom(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"so far so good\n"
    raise RuntimeError(script.ERROR)


def send_file(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", JSON), ("Content-Length", str(len(script.DOCUMENT)))])
    file = script.FILE.open("rb")
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(file) if wrapper else blocks(file)


def blocks(file: Any) -> Iterator[bytes]:
    with file:
        yield from iter(lambda: file.read(64), b"")


def status(environ: Environ, start: Start) -> Iterable[bytes]:
    code = int(environ["shop.rest"])
    if code in (204, 304):
        start(line(code), [("Content-Type", "text/plain")])
        return []
    return answer(start, b"status", "text/plain", code)


def missing(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, b"there is no such shelf", "text/plain", 404)


def gzipped(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.GZIPPED, JSON, 200, ("Content-Encoding", "gzip"))


def binary(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.BINARY, "application/octet-stream")


def repeated(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, b"{}", JSON, 200, *script.REPEATED)


def user(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, script.as_json({"id": int(environ["shop.rest"])}))


def part(environ: Environ, start: Start) -> Iterable[bytes]:
    name, _, part = environ["shop.rest"].partition("/parts/")
    return answer(start, script.as_json({"name": name, "part": part}))


def login(environ: Environ, start: Start) -> Iterable[bytes]:
    environ["shop.user"] = "u7"
    return answer(start, b"{}")


def named(environ: Environ, start: Start) -> Iterable[bytes]:
    set_user("named-8")
    return answer(start, b"{}")


def large(environ: Environ, start: Start) -> Iterable[bytes]:
    return answer(start, b"x" * int(environ["shop.rest"]), "text/plain")


def scripted(environ: Environ, start: Start) -> Iterable[bytes]:
    start(f"{SCRIPT.status} Scripted", list(SCRIPT.headers))
    return iter(SCRIPT.pieces) if SCRIPT.streamed else list(SCRIPT.pieces)


ROUTES: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "echo": echo,
    "json": read_json,
    "form": read_form,
    "upload": upload,
    "ignore": ignore,
    "raw": raw,
    "first": first,
    "lines": lines,
    "stream": stream,
    "sse": sse,
    "endless": endless,
    "boom": boom,
    "late-boom": late_boom,
    "file": send_file,
    "status": status,
    "gzip": gzipped,
    "binary": binary,
    "repeated": repeated,
    "users": user,
    "items": part,
    "login": login,
    "named": named,
    "large": large,
    "scripted": scripted,
}
