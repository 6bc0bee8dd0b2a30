"""A route is told whole: what an include, a language and a mount put before it is part of the path that clients see."""

from __future__ import annotations

from typing import Any

import django
import pytest
from django.conf.urls.i18n import i18n_patterns
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import include, path, re_path, resolve
from opentelemetry.trace import INVALID_SPAN

from metlo_otel.hooks import Hooks
from metlo_otel.testing import MemoryCollector
from tests.contract.http import get
from tests.django.site import OURS, site

LOCALE = "django.middleware.locale.LocaleMiddleware"


def view(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse(b"")


def missing(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


users = [
    path("<int:id>", view),
    re_path(r"^(?P<name>[a-z]+)/(?P<year>\d{4})/$", view),
    path("<int:id>/missing", missing),
]
urlpatterns = [
    path("users/", include(users)),
    re_path(r"^regex/", include(users)),
    path("", view),
    *i18n_patterns(path("shop/<slug:article>", view)),
]
ROUTES = {
    "/": "/",
    "/users/7": "/users/{id}",
    "/users/ada/1843/": "/users/{name}/{year}/",
    "/users/7/missing": "/users/{id}/missing",
    "/regex/7": "/regex/{id}",
    "/regex/ada/1843/": "/regex/{name}/{year}/",
    "/en/shop/tea": "/en/shop/{article}",
}


def told_under(interface: str, collector: MemoryCollector, target: str, **settings: Any) -> dict[str, Any]:
    about = {"USE_I18N": True, "LANGUAGES": [("en", "English")], **settings}
    with site(interface, collector, __name__, [OURS, LOCALE], **about) as served:
        served.serve(get(target))
        (trace,) = served.told()
    url: dict[str, Any] = trace["request"]["url"]
    return url


@pytest.mark.parametrize("target", ROUTES)
def test_route(interface: str, collector: MemoryCollector, target: str) -> None:
    """Includes, regexes and languages are in the template, also of a 404 that the view has answered."""
    url = told_under(interface, collector, target)
    assert (url["path"], url.get("endpointPath")) == (target, ROUTES[target])


@pytest.mark.parametrize("prefix", ["/shop.v1", "/shop.v1/"])
@pytest.mark.parametrize("target", ["/users/7", "/regex/ada/1843/", "/"])
def test_route_under_force_script_name(collector: MemoryCollector, target: str, prefix: str) -> None:
    """A proxy has cut the prefix; path and template have it, as the app's own links do."""
    url = told_under("wsgi", collector, target, FORCE_SCRIPT_NAME=prefix)
    assert (url["path"], url["endpointPath"]) == ("/shop.v1" + target, "/shop.v1" + ROUTES[target])


@pytest.mark.skipif(django.VERSION < (5, 0), reason="Django did not heed the setting under ASGI")
@pytest.mark.parametrize("target", ["/users/7", "/regex/ada/1843/", "/"])
def test_route_under_force_script_name_with_asgi(collector: MemoryCollector, target: str) -> None:
    """Under ASGI the path is the one of the scope, with the prefix where the server has left it there."""
    settings = {"FORCE_SCRIPT_NAME": "/shop.v1"}
    url = told_under("asgi", collector, "/shop.v1" + target, **settings)
    assert (url["path"], url["endpointPath"]) == ("/shop.v1" + target, "/shop.v1" + ROUTES[target])
    collector.clear()
    url = told_under("asgi", collector, target, **settings)
    assert (url["path"], url["endpointPath"]) == (target, ROUTES[target])


@pytest.mark.parametrize("mount", ["/shop", "/shop/v1", "/büro"])
@pytest.mark.parametrize("target", ["/users/7", "/regex/ada/1843/"])
def test_route_below_a_mount(interface: str, collector: MemoryCollector, mount: str, target: str) -> None:
    """What a dispatcher has moved to SCRIPT_NAME, or a server has in root_path, is the beginning of the template."""
    with site(interface, collector, __name__) as served:
        serve = served.handler

        def mounted_wsgi(environ: dict[str, Any], start_response: Any) -> Any:
            return serve({**environ, "SCRIPT_NAME": mount.encode().decode("latin-1")}, start_response)

        async def mounted_asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await serve({**scope, "root_path": mount, "path": mount + scope["path"]}, receive, send)

        served.handler = mounted_wsgi if interface == "wsgi" else mounted_asgi
        served.serve(get(target))
        (trace,) = served.told()
    url = trace["request"]["url"]
    assert (url["path"], url["endpointPath"]) == (mount + target, mount + ROUTES[target])


def test_route_of_a_hook(collector: MemoryCollector) -> None:
    """OpenTelemetry's hooks tell it whole too, where no middleware of ours does."""
    hooks = Hooks(collector.url, collector.api_key)
    request = RequestFactory(SCRIPT_NAME="/api/v1").get("/users/7")
    hooks.django_request_hook(INVALID_SPAN, request)
    request.resolver_match = resolve("/users/7", __name__)
    hooks.django_response_hook(INVALID_SPAN, request, HttpResponse(b"7"))
    assert hooks._agent is not None
    hooks._agent.shutdown(10)
    (trace,) = collector.traces
    assert hooks._guard.failures == 0
    assert trace["request"]["url"]["endpointPath"] == "/api/v1/users/{id}"
