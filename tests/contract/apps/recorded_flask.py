"""The app behind the recordings of Flask: ordinary views that answer what was recorded."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import flask
from flask import Response, jsonify, request

RESULTS = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
FRIENDS = {"data": {"u": {"name": "n", "email": "a@b.co", "friends": [{"id": 1}]}}}
LARGE = {"items": [{"i": number, "s": "x" * 40} for number in range(200)]}
UNICODE = "a" + "世" * 3000


def make() -> flask.Flask:
    """A new app."""
    app = flask.Flask("recorded")
    for rule, view in ROUTES.items():
        methods = ["POST", "PUT"] if rule in ("/json", "/form", "/upload", "/text", "/raw") else ["GET", "POST"]
        app.add_url_rule(rule, rule, view, methods=methods if rule not in GET_ONLY else ["GET"])
    return app


def private() -> Any:
    if "Authorization" not in request.headers:
        return jsonify(error="unauthorized"), 401
    return jsonify(secret=True)


def search() -> Any:
    return jsonify(q=request.args.get("q"), results=RESULTS)


def ok() -> Any:
    return jsonify(ok=True)


def read_json() -> Any:
    return jsonify(got=request.get_json())


def read_form() -> Any:
    return jsonify(form=request.form.to_dict(flat=False))


def upload() -> Any:
    files = {name: len(file.read()) for name, file in request.files.items()}
    return jsonify(files=files, form=request.form.to_dict(flat=False))


def text() -> Any:
    return Response(f"got {len(request.get_data())}", mimetype="text/plain")


def raw() -> Any:
    return jsonify(n=len(request.get_data()))


def binary() -> Any:
    return Response(bytes(range(256)), mimetype="application/octet-stream")


def send_file() -> Any:
    return flask.send_file(io.BytesIO(b'{"a":1}'), mimetype="application/json")


def gzipped() -> Any:
    body = gzip.compress(b'{"email": "alice@example.com"}', mtime=0)
    return Response(body, mimetype="application/json", headers={"Content-Encoding": "gzip"})


def html() -> Any:
    return "<html><body>hi</body></html>"


def large() -> Any:
    return jsonify(LARGE)


def graphql() -> Any:
    request.get_json(silent=True)
    return jsonify(FRIENDS)


def redirect() -> Any:
    return flask.redirect("/ok")


def user(id: str) -> Any:
    return jsonify(id=id, email="alice@example.com", ssn="123-45-6789", card="4111 1111 1111 1111")


def login() -> Any:
    response = jsonify(ok=True)
    response.set_cookie("sid", "s3cr3t")
    response.set_cookie("uid", "u7")
    return response


def status(code: int) -> Any:
    return jsonify(status=code), code


def stream() -> Any:
    def chunks() -> Iterator[str]:
        for number in range(4):
            yield f"chunk{number}\n"

    return Response(chunks(), mimetype="text/plain")


def boom() -> Any:
    raise ValueError("boom")


def unicode() -> Any:
    return jsonify(s="héllo 世界 😀")


def unicode5k() -> Any:
    return Response(UNICODE, mimetype="text/plain; charset=utf-8")


GET_ONLY = ("/ok", "/search", "/stream")
ROUTES: dict[str, Callable[..., Any]] = {
    "/private": private,
    "/search": search,
    "/ok": ok,
    "/json": read_json,
    "/form": read_form,
    "/upload": upload,
    "/text": text,
    "/raw": raw,
    "/binary": binary,
    "/file": send_file,
    "/gzip": gzipped,
    "/html": html,
    "/large": large,
    "/graphql": graphql,
    "/redirect": redirect,
    "/user/<id>": user,
    "/login": login,
    "/status/<int:code>": status,
    "/stream": stream,
    "/boom": boom,
    "/unicode": unicode,
    "/unicode5k": unicode5k,
}
