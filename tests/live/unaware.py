"""Apps that do not know of the agent: it comes to them by the command that starts their server."""

import os
import sys
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI, Request
from flask import Flask, request

flask_app = Flask("shop")
fastapi_app = FastAPI()


def about() -> dict[str, Any]:
    """The process that answers, and what it has imported of the agent."""
    return {"pid": os.getpid(), "imported": [name for name in sys.modules if name.startswith("metlo_otel")]}


def user(id: int) -> dict[str, Any]:  # noqa: A002 - the route's own name for it
    """A user."""
    return {"id": id, "note": "secret-of-response"}


@flask_app.route("/users/<int:id>", methods=["GET", "POST"])
def user_in_flask(id: int) -> dict[str, Any]:  # noqa: A002 - the same
    """Reads its body, answers JSON."""
    return user(id) if request.get_data() is not None else {}


@fastapi_app.get("/users/{id}")
@fastapi_app.post("/users/{id}")
async def user_in_fastapi(id: int, request: Request) -> dict[str, Any]:  # noqa: A002 - the same
    """Reads its body, answers JSON."""
    return user(id) if await request.body() is not None else {}


def user_in_django(request: HttpRequest, id: int) -> JsonResponse:  # noqa: A002 - the same
    """Reads its body, answers JSON."""
    return JsonResponse(user(id) if request.body is not None else {})


flask_app.get("/about")(about)
fastapi_app.get("/about")(about)


urlpatterns = [path("users/<int:id>", user_in_django), path("about", lambda request: JsonResponse(about()))]


def django_app() -> ASGIHandler:
    """The Django site under ASGI."""
    return get_asgi_application()
