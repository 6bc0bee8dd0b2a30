"""The sample shop: a Flask app such as the agent protects, with the faults that real ones have."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, abort, g, jsonify, request, stream_with_context
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from metlo_otel.demo.goods import PRODUCTS, USERS, User
from metlo_otel.demo.payments import make_payments
from metlo_otel.flask import MetloFlask

_PREFIX = "shop-token-"
RELEASE = "METLO_DEMO_RELEASE"  # set to 2: the shop's API has changed in a way that breaks its clients


def make_shop(host: str, api_key: str) -> Flask:
    """The shop, reporting to the collector at `host`. Visitors name their address in X-Forwarded-For."""
    app = Flask("metlo_demo_shop")
    app.before_request(_recognise)
    app.register_error_handler(HTTPException, _explain)
    for rule, view, methods in _VIEWS:
        app.add_url_rule(rule, view_func=view, methods=methods)
    MetloFlask(app, host, api_key, get_user=_who, trusted_proxies=["127.0.0.0/8"], environment="demo")
    return app


def _recognise() -> None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix(_PREFIX)
    g.user = USERS.get(token)


def _who(_request: Any) -> str | None:
    user: User | None = g.get("user")
    return user.name if user else None


def _explain(problem: HTTPException) -> tuple[Response, int]:
    return jsonify(error=problem.description), problem.code or 500


def _home() -> str:
    links = "".join(f'<li><a href="/api/products/{number}">{item.title}</a></li>' for number, item in PRODUCTS.items())
    return f"<!doctype html><title>Sample shop</title><h1>Sample shop</h1><ul>{links}</ul>"


def _products() -> Response:
    wanted = request.args.get("q", "").lower()
    found = [item.shown(number) for number, item in PRODUCTS.items() if wanted in item.title.lower()]
    return jsonify(products=found[: request.args.get("limit", 20, int)], total=len(found))


def _product(number: int) -> Response:
    if number not in PRODUCTS:
        abort(404, f"there is no product {number}")
    shown = PRODUCTS[number].shown(number)
    if os.environ.get(RELEASE) == "2":
        shown = {"id": str(number), "title": shown["title"], "price": f"{shown['price']:.2f} EUR"}
    return jsonify(shown)


def _review(number: int) -> tuple[Response, int]:
    return jsonify(product=number, text=_sent().get("text"), by=_member().name), 201


def _login() -> Response:
    sent = _sent()
    user = USERS.get(str(sent.get("user")))
    if user is None or sent.get("password") != user.password:
        abort(401, "unknown user or wrong password")
    return jsonify(token=_PREFIX + user.name, user=user.name)


def _profile() -> Response:
    user = _member()
    return jsonify(name=user.name, email=user.email, phone=user.phone, address=user.address, ssn=user.ssn)


def _checkout() -> tuple[Response, int]:
    sent, user = _sent(), _member()
    lines = [PRODUCTS[int(line["product"])] for line in sent.get("lines", [])]
    share = sum(line.price for line in lines) / len(lines)  # an order without lines: the fault that answers 500
    return jsonify(order=4711, to=user.email, lines=len(lines), average=round(share, 2), card=sent.get("card")), 201


def _orders() -> Response:
    def rows() -> Iterator[str]:
        yield "order,customer,total\n"
        for number in range(20):
            yield f"{4700 + number},{user.email},{19 + number}.90\n"

    user = _member()
    return Response(stream_with_context(rows()), mimetype="text/csv")


def _manual() -> Response:
    name = request.args.get("file", "")
    if name != "manual.txt":
        abort(404, "there is no such file")
    return Response("Take it out of the box. Switch it on.\n", mimetype="text/plain")


def _customers() -> Response:
    return jsonify([{"name": user.name, "email": user.email, "ssn": user.ssn} for user in USERS.values()])


def _sent() -> dict[str, Any]:
    sent = request.get_json()
    return sent if isinstance(sent, dict) else abort(400, "an object is expected")


def _member() -> User:
    user: User | None = g.user
    return user or abort(401, "please log in")


_VIEWS: tuple[tuple[str, Any, list[str]], ...] = (
    ("/", _home, ["GET"]),
    ("/api/products", _products, ["GET"]),
    ("/api/products/<int:number>", _product, ["GET"]),
    ("/api/products/<int:number>/reviews", _review, ["POST"]),
    ("/api/login", _login, ["POST"]),
    ("/api/me", _profile, ["GET"]),
    ("/api/checkout", _checkout, ["POST"]),
    ("/api/orders.csv", _orders, ["GET"]),
    ("/api/manuals", _manual, ["GET"]),
    ("/internal/customers", _customers, ["GET"]),
)


def main() -> None:
    """Serve both services on free ports, whose URLs are the first line of stdout, until stdin ends: with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us in order
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    apps = [make(os.environ["METLO_HOST"], os.environ["METLO_KEY"]) for make in (make_shop, make_payments)]
    servers = [make_server("127.0.0.1", 0, app, threaded=True) for app in apps]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    print(*(f"http://127.0.0.1:{server.server_port}" for server in servers), flush=True)
    sys.stdin.buffer.read()
    for server in servers:
        server.shutdown()


if __name__ == "__main__":
    main()
