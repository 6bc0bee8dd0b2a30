"""The shop in Django: plain views, and the same as async ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from metlo_otel.core.current import set_user
from tests.contract.apps import script
from tests.contract.apps.django_site import note
from tests.contract.apps.script import SCRIPT

JSON = "application/json"
View = Callable[..., HttpResponseBase]


def answer(body: bytes, kind: str = JSON, status: int = 200) -> HttpResponse:
    return HttpResponse(body, content_type=kind, status=status)


def echo(request: HttpRequest) -> HttpResponseBase:
    return answer(script.seen(str(request.method), request.META["QUERY_STRING"], request.body))


def read_form(request: HttpRequest) -> HttpResponseBase:
    return answer(script.form_of({name: request.POST.getlist(name) for name in request.POST}))


def upload(request: HttpRequest) -> HttpResponseBase:
    fields = {name: request.POST.getlist(name) for name in request.POST}
    files = {
        name: len(file.read())  # type: ignore[union-attr]  # the stubs' union is not Django's
        for name, file in request.FILES.items()
    }
    return answer(script.upload_of(fields, files))


def raw(request: HttpRequest) -> HttpResponseBase:
    return answer(script.count([len(piece) for piece in iter(lambda: request.read(7), b"")]))


def first(request: HttpRequest) -> HttpResponseBase:
    return answer(script.count([len(request.read(10))]))


def lines(request: HttpRequest) -> HttpResponseBase:
    return answer(script.count([len(line) for line in request]))


def boom(request: HttpRequest) -> HttpResponseBase:
    raise RuntimeError(script.ERROR)


def status(request: HttpRequest, code: int) -> HttpResponseBase:
    return answer(b"" if code in (204, 304) else b"status", "text/plain", code)


def gzipped(request: HttpRequest) -> HttpResponseBase:
    response = answer(script.GZIPPED)
    response["Content-Encoding"] = "gzip"
    return response


def repeated(request: HttpRequest) -> HttpResponseBase:
    """Django keeps one header a name; cookies it repeats."""
    response = answer(b"{}")
    response["X-Shelf"] = "b"
    response.set_cookie("sid", "1")
    response.set_cookie("theme", "dark")
    return response


def login(request: HttpRequest) -> HttpResponseBase:
    note(request, "u7")
    return answer(b"{}")


def named(request: HttpRequest) -> HttpResponseBase:
    set_user("named-8")
    return answer(b"{}")


def read_json(request: HttpRequest) -> HttpResponseBase:
    return answer(script.as_json({"got": json.loads(request.body)}))


def ignore(request: HttpRequest) -> HttpResponseBase:
    SCRIPT.events.append("ignored")
    return answer(b"ignored", "text/plain")


def streamed(request: HttpRequest, pieces: Callable[[], Iterator[bytes]], kind: str) -> HttpResponseBase:
    """A streaming response, from an async iterator where Django would else read the whole of a plain one at once."""
    content = as_async(pieces()) if hasattr(request, "scope") else pieces()
    return StreamingHttpResponse(content, content_type=kind)


async def as_async(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    try:
        for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def generate(pieces: tuple[bytes, ...]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        SCRIPT.events.append(f"made {number}")
        yield piece


def stream(request: HttpRequest) -> HttpResponseBase:
    return streamed(request, lambda: generate(script.CHUNKS), "text/plain; charset=utf-8")


def sse(request: HttpRequest) -> HttpResponseBase:
    return streamed(request, lambda: generate(script.EVENTS), "text/event-stream")


def endless(request: HttpRequest) -> HttpResponseBase:
    def forever() -> Iterator[bytes]:
        try:
            while True:
                yield b"tick\n"
        finally:
            SCRIPT.events.append("ended")

    return streamed(request, forever, "text/plain")


def late_boom(request: HttpRequest) -> HttpResponseBase:
    def broken() -> Iterator[bytes]:
        yield b"so far so good\n"
        raise RuntimeError(script.ERROR)

    return streamed(request, broken, "text/plain")


def send_file(request: HttpRequest) -> HttpResponseBase:
    return FileResponse(script.FILE.open("rb"), content_type=JSON)


def binary(request: HttpRequest) -> HttpResponseBase:
    return answer(script.BINARY, "application/octet-stream")


def user(request: HttpRequest, id: int) -> HttpResponseBase:
    return answer(script.as_json({"id": id}))


def part(request: HttpRequest, name: str, part: str) -> HttpResponseBase:
    return answer(script.as_json({"name": name, "part": part}))


def large(request: HttpRequest, size: int) -> HttpResponseBase:
    return answer(b"x" * size, "text/plain")


def scripted(request: HttpRequest) -> HttpResponseBase:
    response: Any = HttpResponse(b"".join(SCRIPT.pieces), status=SCRIPT.status)
    if SCRIPT.streamed:
        response = streamed(request, lambda: iter(SCRIPT.pieces), "")
        response.status_code = SCRIPT.status
    del response["Content-Type"]
    for name, value in SCRIPT.headers:
        response[name] = value
    return response  # type: ignore[no-any-return]  # one of the two above


def patterns(wrap: Callable[[View], Any]) -> list[URLPattern]:
    """The routes, each view wrapped."""
    return [path(route, wrap(view)) for route, view in ROUTES.items()]


def as_coroutine(view: View) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """An async view that does what `view` does."""

    async def async_view(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
        return view(request, **parameters)

    return async_view


ROUTES: dict[str, View] = {
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
    "status/<int:code>": status,
    "gzip": gzipped,
    "binary": binary,
    "repeated": repeated,
    "users/<int:id>": user,
    "items/<name>/parts/<part>": part,
    "login": login,
    "named": named,
    "large/<int:size>": large,
    "scripted": scripted,
}
