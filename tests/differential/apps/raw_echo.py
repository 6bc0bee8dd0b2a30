"""What apps without a framework may make of a request, with the standard library's means."""

from __future__ import annotations

import gzip
import posixpath
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email import message_from_bytes
from http.cookies import SimpleCookie
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.differential.apps.understood import document, gathered, listed, named, pairs

Headers = list[tuple[str, str]]
_SLASHES = re.compile("/+")


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """An app that echoes under WSGI."""
    length = environ.get("CONTENT_LENGTH") or ""
    stream = environ["wsgi.input"]
    ends = bool(environ.get("wsgi.input_terminated"))
    body = stream.read(int(length)) if length.isdigit() else stream.read() if ends else b""
    names = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    headers = [*names.items(), ("content-type", environ.get("CONTENT_TYPE", ""))]
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    echo = understand(environ["REQUEST_METHOD"], path, query, headers, body)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(echo)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else echo]


async def asgi(
    scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """An app that echoes under ASGI."""
    if scope["type"] != "http":
        raise NotImplementedError("this app speaks HTTP alone")
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    echo = understand(scope["method"], scope["path"], scope["query_string"], headers, body)
    names = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(echo))]
    await send({"type": "http.response.start", "status": 200, "headers": names})
    await send({"type": "http.response.body", "body": echo})


def understand(method: str, path: str, query: bytes, headers: Headers, body: bytes) -> bytes:
    """A path as it is, decoded once more, resolved; a body in any of the forms that an app may expect."""
    found = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    kind = _value(headers, "content-type")
    plain = _unpacked(body, _value(headers, "content-encoding"))
    return gathered(
        path=lambda: _paths(path),
        method=lambda: [method, method.upper()],
        query=lambda: named(found),
        queries=lambda: pairs(found),
        header=lambda: listed(value for name, value in headers if name.replace("_", "-") == "x-role"),
        cookie=lambda: _cookies(headers),
        form=lambda: pairs(parse_qsl(plain.decode("utf-8"), keep_blank_values=True)),
        file=lambda: list(_mail(kind, plain)) if "multipart" in kind.lower() else [],
        json=lambda: document(plain),
        text=lambda: [plain.decode("utf-8", "replace"), body.decode("utf-8", "replace")],
    )


def _paths(path: str) -> list[str]:
    once = unquote(path)
    return list(
        chain.from_iterable((text, _SLASHES.sub("/", text), posixpath.normpath("/" + text)) for text in (path, once))
    )


def _value(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")


def _cookies(headers: Headers) -> Iterable[str]:
    jar: SimpleCookie = SimpleCookie()
    for name, value in headers:
        if name == "cookie":
            jar.load(value)
    return pairs((name, morsel.value) for name, morsel in jar.items())


def _mail(kind: str, body: bytes) -> Iterable[str]:
    message = message_from_bytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    for part in message.walk() if message.is_multipart() else ():
        yield from (str(part.get_param("name", "", "content-disposition")), part.get_filename() or "")
        if not part.is_multipart():
            content: Any = part.get_payload(decode=True)
            yield content.decode(part.get_content_charset() or "utf-8", "replace")


def _unpacked(body: bytes, codings: str) -> bytes:
    for coding in reversed([item.strip().lower() for item in codings.split(",")]):
        try:
            if coding in ("gzip", "x-gzip"):
                body = gzip.decompress(body)
            elif coding == "deflate":
                body = _inflated(body)
        except (OSError, EOFError, zlib.error):
            return body
    return body


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return zlib.decompress(body, -15)
