"""The shop in Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask

from metlo_otel.core.current import set_user
from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT

JSON = "application/json"


def make() -> flask.Flask:
    """A new app."""
    app = flask.Flask("shop")
    for rule, view in ROUTES.items():
        app.add_url_rule(rule, rule, view, methods=["GET", "POST", "PUT", "DELETE"])
    app.before_request(note_customer)
    return app


def note_customer() -> None:
    if "X-Customer" in flask.request.headers:
        flask.request.environ["shop.user"] = flask.request.headers["X-Customer"]


def user_of(request: flask.Request) -> object:
    """What a GET_USER of this app would be."""
    return request.environ.get("shop.user")


def answer(body: bytes, kind: str = JSON) -> flask.Response:
    return flask.Response(body, content_type=kind)


def echo() -> flask.Response:
    request = flask.request
    return answer(script.seen(request.method, request.query_string.decode(), request.get_data()))


def read_json() -> flask.Response:
    return answer(script.as_json({"got": flask.request.get_json()}))


def read_form() -> flask.Response:
    return answer(script.form_of(flask.request.form.to_dict(flat=False)))


def upload() -> flask.Response:
    files = {name: len(file.read()) for name, file in flask.request.files.items()}
    return answer(script.upload_of(flask.request.form.to_dict(flat=False), files))


def ignore() -> flask.Response:
    SCRIPT.events.append("ignored")
    return answer(b"ignored", "text/plain")


def raw() -> flask.Response:
    return answer(script.count([len(piece) for piece in iter(lambda: flask.request.stream.read(7), b"")]))


def first() -> flask.Response:
    return answer(script.count([len(flask.request.stream.read(10))]))


def lines() -> flask.Response:
    return answer(script.count([len(line) for line in flask.request.stream]))


def generate(pieces: tuple[bytes, ...]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        SCRIPT.events.append(f"made {number}")
        yield piece


def stream() -> flask.Response:
    return flask.Response(generate(script.CHUNKS), content_type="text/plain; charset=utf-8")


def sse() -> flask.Response:
    return flask.Response(generate(script.EVENTS), content_type="text/event-stream")


def endless() -> flask.Response:
    def forever() -> Iterator[bytes]:
        try:
            while True:
                yield b"tick\n"
        finally:
            SCRIPT.events.append("ended")

    return flask.Response(forever(), content_type="text/plain")


def boom() -> flask.Response:
    raise RuntimeError(script.ERROR)


def late_boom() -> flask.Response:
    def broken() -> Iterator[bytes]:
        yield b"so far so good\n"
        raise RuntimeError(script.ERROR)

    return flask.Response(broken(), content_type="text/plain")


def send_file() -> flask.Response:
    return flask.send_file(script.FILE, mimetype=JSON, conditional=False, etag=False)


def status(code: int) -> flask.Response:
    return flask.Response(b"" if code in (204, 304) else b"status", code, content_type="text/plain")


def gzipped() -> flask.Response:
    return flask.Response(script.GZIPPED, headers=[("Content-Encoding", "gzip")], content_type=JSON)


def binary() -> flask.Response:
    return answer(script.BINARY, "application/octet-stream")


def repeated() -> flask.Response:
    return flask.Response(b"{}", headers=list(script.REPEATED), content_type=JSON)


def user(id: int) -> flask.Response:
    return answer(script.as_json({"id": id}))


def part(name: str, part: str) -> flask.Response:
    return answer(script.as_json({"name": name, "part": part}))


def login() -> flask.Response:
    flask.request.environ["shop.user"] = "u7"
    return answer(b"{}")


def named() -> flask.Response:
    set_user("named-8")
    return answer(b"{}")


def large(size: int) -> flask.Response:
    return answer(b"x" * size, "text/plain")


def scripted() -> flask.Response:
    pieces = iter(SCRIPT.pieces) if SCRIPT.streamed else list(SCRIPT.pieces)
    return flask.Response(pieces, SCRIPT.status, list(SCRIPT.headers))


ROUTES: dict[str, Callable[..., Any]] = {
    "/echo": echo,
    "/json": read_json,
    "/form": read_form,
    "/upload": upload,
    "/ignore": ignore,
    "/raw": raw,
    "/first": first,
    "/lines": lines,
    "/stream": stream,
    "/sse": sse,
    "/endless": endless,
    "/boom": boom,
    "/late-boom": late_boom,
    "/file": send_file,
    "/status/<int:code>": status,
    "/gzip": gzipped,
    "/binary": binary,
    "/repeated": repeated,
    "/users/<int:id>": user,
    "/items/<name>/parts/<part>": part,
    "/login": login,
    "/named": named,
    "/large/<int:size>": large,
    "/scripted": scripted,
}
