"""The second service of the demo: it takes cards, and tells more of them than it should."""

from __future__ import annotations

from flask import Flask, Response, abort, jsonify, request

from metlo_otel.flask import MetloFlask

_CHARGES: dict[int, dict[str, object]] = {}


def make_payments(host: str, api_key: str) -> Flask:
    """The service, reporting to the collector at `host` as the shop does."""
    app = Flask("metlo_demo_payments")
    app.add_url_rule("/v1/charges", view_func=_charge, methods=["POST"])
    app.add_url_rule("/v1/charges/<int:number>", view_func=_charged)
    app.add_url_rule("/v1/notifications", view_func=_notified, methods=["POST"])
    MetloFlask(app, host, api_key, trusted_proxies=["127.0.0.0/8"], environment="demo")
    return app


def _charge() -> tuple[Response, int]:
    sent = request.get_json()
    if not isinstance(sent, dict) or "card" not in sent:
        abort(400, "a card is expected")
    number = 9000 + len(_CHARGES) % 500
    _CHARGES[number] = {"id": number, "amount": sent.get("amount"), "card": sent["card"]}
    return jsonify(id=number, state="charged"), 201


def _charged(number: int) -> Response:
    return jsonify(_CHARGES.get(number) or abort(404, "there is no such charge"))  # the leak: cards, for everybody


def _notified() -> tuple[str, int]:
    return ("", 204) if request.get_data() else ("nothing was sent", 400)
