"""Ways past rules and detection that were found once, each beside its control: none of them is one any more."""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from typing import Any
from urllib.parse import quote_plus

import pytest
from fastapi import FastAPI
from flask import Flask, request
from werkzeug.test import Client

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.record import Message, Record
from metlo_otel.core.request import EnvironRequest
from metlo_otel.core.settings import read_settings
from metlo_otel.fastapi import ASGIMiddleware
from metlo_otel.flask import MetloFlask
from metlo_otel.reading import multipart
from metlo_otel.reading.record import read_exchange
from tests.contract import asgi_driver
from tests.contract.http import Call

ATTACK = "1' union select name, password from users--"
DOCUMENT = json.dumps({"q": ATTACK})
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MANY_KEYS = "{" + ",".join(f'"{number}":0' for number in range(501)) + "," + DOCUMENT[1:]
OPTIONS: dict[str, Any] = {
    "host": "http://127.0.0.1:9",
    "config_cache": "off",
    "excluded_urls": ["."],
    "log_level": "critical",
}


def part(disposition: str) -> str:
    return f"--B\r\nContent-Disposition: {disposition}\r\n\r\n{ATTACK}\r\n--B--\r\n"


def inspection() -> Inspection:
    given = {"api_key": "k", "metlo_host": "http://127.0.0.1:1", "detection": "block"}
    return Inspection(read_settings(given, environ={}), lambda _: None)


def flask_client(**options: Any) -> Client:
    app = Flask("shop")
    MetloFlask(app, api_key=secrets.token_hex(8), **OPTIONS, **options)

    @app.route("/admin", methods=["GET", "POST"])
    def admin() -> str:
        return "ADMIN"

    @app.route("/b", methods=["GET", "POST"])
    def echo() -> str:
        return str(request.args or request.get_json(silent=True) or request.form.to_dict())

    return Client(app)


@pytest.fixture(scope="module")
def detecting() -> Client:
    return flask_client(detection="block")


@pytest.mark.parametrize(
    ("body", "content_type", "coding"),
    [
        (DOCUMENT, JSON, ""),
        (DOCUMENT, JSON, "br"),
        (DOCUMENT, f"{JSON}; charset=ibm037", ""),
        ("&" * 500 + "q=" + quote_plus(ATTACK), FORM, ""),
        (" " * 5120 + DOCUMENT, JSON, ""),
        (MANY_KEYS, JSON, ""),
        (part('attachment; name="q"'), "multipart/form-data; boundary=B", ""),
        (part('form-data; name="q"'), "multipart/form-data; xboundary=A; boundary=B", ""),
        (part("form-data; name*=utf-8''q"), "multipart/form-data; boundary=B", ""),
        (part('form-data;\r\n name="q"'), "multipart/form-data; boundary=B", ""),
        ("pad=" + "A" * 6000 + "&q=" + quote_plus(ATTACK), FORM, ""),
        (json.dumps({"a": "A" * 6000, "q": ATTACK}), JSON, ""),
    ],
)
def test_attacks_in_bodies(detecting: Client, body: str, content_type: str, coding: str) -> None:
    """An attack is rejected, whatever headers say of the body and whatever stands before it."""
    headers = {"Content-Encoding": coding} if coding else {}
    assert detecting.post("/b", data=body, content_type=content_type, headers=headers).status_code == 403


@pytest.mark.parametrize("around", ["", "A" * 6000])
def test_attacks_in_the_query(detecting: Client, around: str) -> None:
    """An attack is rejected at the edge and in the middle of a long value."""
    value = f"{around} {ATTACK} {around}"
    assert detecting.get("/b", query_string={"q": value}).status_code == 403
    assert detecting.get("/b", query_string={"q": around + "1"}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/admin"), ("GET", "//admin"), ("post", "/admin")])
def test_rules_on_paths_and_methods(method: str, path: str) -> None:
    """A rule on a path and a method rejects every spelling that the app answers to."""
    rule = {"name": "a", "block": True, "path": "/admin", "method": method.upper()}
    client = flask_client(rules=[rule])
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    assert client.open("/x", environ_overrides=environ).status_code == 403
    assert client.get("/b").status_code == 200


@pytest.mark.parametrize("path", ["/admin", "/api/admin"])
def test_rules_below_a_root_path(path: str) -> None:
    """A rule on a path rejects it with and without the prefix that a proxy may have left."""
    app: Any = FastAPI(servers=[], openapi_url=None)
    app.router.redirect_slashes = False
    app.root_path = "/api"
    rules = [{"name": "a", "block": True, "path": "/admin"}]
    app.add_middleware(ASGIMiddleware, api_key=secrets.token_hex(8), rules=rules, **OPTIONS)
    app.get("/admin")(lambda: "ADMIN")
    app.get("/other")(lambda: "other")
    assert asgi_driver.serve(app, Call("GET", path)).status == 403
    assert asgi_driver.serve(app, Call("GET", path.replace("admin", "other"))).status == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=B", part('form-data; name="q"')),
        ("multipart/form-data; boundary =B", part('form-data; name="q"')),
        ("multipart/form-data; boundary=B", part("form-data; name*=utf-8''q")),
        ("multipart/form-data; boundary=B", part('form-data;\r\n name="q"')),
        ("multipart/form-data; boundary=B", part('FORM-DATA; name="q"')),
        ("multipart/form-data; boundary=B", part('form-data ; name = "q"')),
        ("multipart/form-data; boundary=B", part('form-data; name="q"').replace("--B\r\n", "--B  \r\n", 1)),
    ],
)
def test_one_reader_of_multipart(content_type: str, body: str) -> None:
    """What masking and data types call a part, detection calls it too."""
    raw = body.encode()
    message = Message((("Content-Type", content_type),), raw, len(raw))
    record = Record("POST", "http", "h", "/", (), message, Message(), 200, ("192.0.2.1", 1), ("", None))
    assert [each.name for each in multipart.read_parts(raw, content_type)] == ["q"]
    assert [each.names for each in multipart.all_parts(raw, content_type)] == [("q",)]
    assert inspection().threat(record).key == "reqBody.q"


def closed(coding: str, body: bytes) -> Exchange:
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "CONTENT_TYPE": JSON, "HTTP_CONTENT_ENCODING": coding}
    exchange = Exchange(EnvironRequest(environ), 100_000)
    exchange.request_body.add(body)
    exchange.response_headers = [("Content-Type", JSON), ("Content-Encoding", coding)]
    exchange.response_body.add(body)
    exchange.status = 200
    return exchange


def test_an_encoding_is_undone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body in gzip there is one inflater, for the request thread and the worker together."""
    made, real = [], zlib.decompressobj

    def counted(*args: Any) -> Any:
        made.append(args)
        return real(*args)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    settings = read_settings({"api_key": "k", "host": "http://127.0.0.1:1"}, {})
    guard = Guard(RateLimitedLog(make_logger(None)))
    exchange = closed("gzip", gzip.compress(b'{"a": 1}'))
    both = inspection()
    both.threat(read_exchange(exchange, settings, guard))
    decided = len(made)
    record = read_exchange(exchange, settings, guard)
    found = both.analyse(record, AgentConfig())
    assert {"reqBody.a", "resBody.a"} <= found.data_types.keys()
    assert decided == 2  # the request's and the response's
    assert len(made) == 3  # the response's again: it was not there yet when the request was decided


def test_codings_in_one_another() -> None:
    """A body that is encoded twice is read; of one in an unknown coding the bytes are looked at as they are."""
    settings = read_settings({"api_key": "k", "host": "http://127.0.0.1:1"}, {})
    guard = Guard(RateLimitedLog(make_logger(None)))
    twice = read_exchange(closed("gzip, gzip", gzip.compress(gzip.compress(b'{"a": 1}'))), settings, guard)
    assert twice.request.body == b'{"a": 1}'
    unknown = read_exchange(closed("br", b"\x0b"), settings, guard)
    assert (unknown.request.body, unknown.request.inspected) == (b"", b"\x0b")
