"""Flask's understanding."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from tests.differential.apps.understood import document, gathered, listed, named, pairs
from tests.differential.message import METHOD, OTHER_METHOD, OTHER_PATH, PATH

_METHODS = ["GET", "HEAD", "POST", "PATCH", "OPTIONS", METHOD, OTHER_METHOD]


def make() -> Flask:
    """An app that echoes on every path, and knows the path that rules forbid as a route."""
    app = Flask("echo")
    for route in ("/", f"/{PATH}", f"/{OTHER_PATH}", "/<path:path>"):
        app.add_url_rule(route, route, _echo, methods=_METHODS, provide_automatic_options=False)
    return app


def _echo(path: str = "") -> Response:
    raw = request.get_data(cache=True)
    rule = request.url_rule
    body = gathered(
        path=lambda: [request.path, request.full_path.partition("?")[0], path, rule.rule if rule else ""],
        method=lambda: [request.method],
        query=lambda: named(request.args.items(multi=True)),
        queries=lambda: pairs(request.args.items(multi=True)),
        header=lambda: listed(request.headers.getlist("X-Role")),
        cookie=lambda: pairs(request.cookies.items(multi=True)),
        form=lambda: pairs(request.form.items(multi=True)),
        file=lambda: [text for field, file in request.files.items(multi=True) for text in (field, *_file(file))],
        json=lambda: document(raw),
        get_json=lambda: document(request.get_data(as_text=True)),
        text=lambda: [raw.decode("utf-8", "replace")],
    )
    return Response(body, mimetype="application/json")


def _file(file: Any) -> list[str]:
    return [file.filename or "", file.read().decode("utf-8", "replace")]
