"""A WSGI app that reads its body, refuses it or answers to each part of it; `/ours/...` is with a rule on bodies."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from metlo_otel.core.current import CARRIED
from metlo_otel.wsgi import WSGIMiddleware

RULE = {"name": "never", "block": True, "body": {"contains": "what never comes"}}


def uploads(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """`/read`, `/refuse` and `/answer`."""
    stream, path = environ["wsgi.input"], environ["PATH_INFO"]
    if path.endswith("/refuse"):
        start_response("401 Unauthorized", [("Content-Length", "2")])
        return [b"no"]
    if path.endswith("/answer"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answering(stream)
    try:
        size = None if environ.get("wsgi.input_terminated") else int(environ["CONTENT_LENGTH"])
        said = b"all: " + (stream.read() if size is None else stream.read(size))
    except Exception as problem:  # noqa: BLE001 - whatever a server raises
        said = f"raised: {type(problem).__name__}".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))]
    exchange = environ.get(CARRIED)
    if exchange is not None:
        late = exchange.late.reason if exchange.late else ""
        headers.append(("X-Seen", f"{exchange.request_body.content()[:8]!r} {late}"))
    start_response("200 OK", headers)
    return [said]


def answering(stream: Any) -> Iterator[bytes]:
    """Each five bytes, as they come."""
    while data := stream.read(5):
        yield data


OURS = WSGIMiddleware(uploads, rules=[RULE], read_ahead_wait=0.3, config_cache="off")


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """With the agent or without."""
    return (OURS if environ["PATH_INFO"].startswith("/ours") else uploads)(environ, start_response)


def serve(kind: str) -> None:
    """Serve it by one of the servers that have no program of their own."""
    if kind == "werkzeug":
        from werkzeug.serving import make_server

        server: Any = make_server("127.0.0.1", 0, app, threaded=True)
    elif kind == "wsgiref":
        from wsgiref.simple_server import make_server as simple_server

        server = simple_server("127.0.0.1", 0, app)
    else:
        from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # it has no types

        server = WSGIServer(("127.0.0.1", 0), app, log=None)
        server.start()
    sys.stdout.write(f"Listening at http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "gevent":
        from gevent import monkey  # type: ignore[import-untyped]  # as above

        monkey.patch_all()
    serve(sys.argv[1])
