# Run: METLO_HOST=http://127.0.0.1:8081 METLO_API_KEY=<key> flask --app examples/flask_app.py run
from typing import Any

from flask import Flask, jsonify, request

from metlo_otel.flask import MetloFlask

app = Flask(__name__)
MetloFlask(app, GET_USER=lambda request: request.headers.get("X-User"))

ITEMS = {1: "shoe", 2: "hat"}


@app.get("/items")
def items() -> Any:
    return jsonify([{"id": number, "name": name} for number, name in ITEMS.items()])


@app.get("/items/<int:number>")
def item(number: int) -> Any:
    if number not in ITEMS:
        return {"error": "no such item"}, 404
    return {"id": number, "name": ITEMS[number]}


@app.post("/orders")
def order() -> Any:
    return {"ordered": request.get_json()["items"]}, 201
