# Run: METLO_HOST=http://127.0.0.1:8081 METLO_API_KEY=<key> uvicorn examples.fastapi_app:app
from typing import Any

from fastapi import FastAPI, HTTPException

from metlo_otel.fastapi import ASGIMiddleware

ITEMS = {1: "shoe", 2: "hat"}


async def get_user(scope: dict[str, Any]) -> str | None:
    return dict(scope["headers"]).get(b"x-user", b"").decode() or None


app = FastAPI()
app.add_middleware(ASGIMiddleware, GET_USER=get_user)


@app.get("/items")
async def items() -> Any:
    return [{"id": number, "name": name} for number, name in ITEMS.items()]


@app.get("/items/{number}")
async def item(number: int) -> Any:
    if number not in ITEMS:
        raise HTTPException(404, "no such item")
    return {"id": number, "name": ITEMS[number]}


@app.post("/orders", status_code=201)
async def order(body: dict[str, Any]) -> Any:
    return {"ordered": body["items"]}
