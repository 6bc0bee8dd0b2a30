"""The routes of frameworks that are built on Django and Flask, as these tell them."""

from __future__ import annotations

from typing import Any

import flask
import flask_restx  # type: ignore[import-untyped]  # it has no types
import ninja
import pytest
from django.http import HttpRequest
from django.test import override_settings
from django.urls import include, path
from rest_framework.decorators import action  # type: ignore[import-untyped]  # it has none either
from rest_framework.response import Response  # type: ignore[import-untyped]
from rest_framework.routers import DefaultRouter  # type: ignore[import-untyped]
from rest_framework.viewsets import ViewSet  # type: ignore[import-untyped]
from werkzeug.test import Client

from metlo_otel.flask import MetloFlask
from metlo_otel.testing import MemoryCollector
from tests.django.site import OURS, site

API = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}


class Orders(ViewSet):  # type: ignore[misc]  # as above
    """Orders, of which there are seven."""

    def list(self, _request: Any) -> Any:
        return Response([7])

    def retrieve(self, _request: Any, pk: str) -> Any:
        return Response({"id": pk}, status=200 if pk == "7" else 404)

    @action(detail=True, url_path="lines/(?P<line>[0-9]+)")  # type: ignore[untyped-decorator]  # as above
    def line(self, _request: Any, pk: str, line: str) -> Any:
        return Response([pk, line])


router = DefaultRouter()
router.register("orders", Orders, basename="order")
api = ninja.NinjaAPI(urls_namespace="tests")
inner = ninja.Router()


@inner.get("/{int:number}/parts/{name}")
def part(request: HttpRequest, number: int, name: str) -> Any:
    return [request.method, number, name]


api.add_router("/machines", inner)
urlpatterns = [path("rest/", include(router.urls)), path("ninja/", api.urls)]
ROUTES = {
    "/rest/orders/": (200, "/rest/orders/"),
    "/rest/orders/7/": (200, "/rest/orders/{pk}/"),
    "/rest/orders/8/": (404, "/rest/orders/{pk}/"),
    "/rest/orders/7/lines/3/": (200, "/rest/orders/{pk}/lines/{line}/"),
    "/ninja/machines/7/parts/belt": (200, "/ninja/machines/{number}/parts/{name}"),
    "/ninja/machines/x/parts/belt": (404, None),
}


@pytest.mark.parametrize("target", ROUTES)
def test_rest_framework_and_ninja(interface: str, collector: MemoryCollector, target: str) -> None:
    """Routers, actions with a pattern of their own, and converters, under an include."""
    with override_settings(REST_FRAMEWORK=API), site(interface, collector, __name__, [OURS]) as served:
        status = served.get(target).status
        (trace,) = served.told()
    assert (status, trace["request"]["url"].get("endpointPath")) == ROUTES[target]


@pytest.mark.parametrize(("target", "route"), [("/v1/users/7", "/v1/users/{number}"), ("/v1/users/7/files/a/b", None)])
def test_restx(collector: MemoryCollector, target: str, route: str | None) -> None:
    """An API's prefix and its namespace's path are part of the route, and converters are not."""
    app = flask.Flask("shop")
    namespace = flask_restx.Api(app, prefix="/v1").namespace("users")

    class User(flask_restx.Resource):  # type: ignore[misc]  # it has no types
        def get(self, number: int) -> Any:
            return {"number": number}

    namespace.add_resource(User, "/<int:number>")
    ours = MetloFlask(app, collector.url, collector.api_key)
    assert Client(app).get(target).status_code == (200 if route else 404)
    assert ours.agent is not None
    ours.agent.shutdown(10)
    (trace,) = collector.traces
    assert trace["request"]["url"].get("endpointPath") == route
