"""Django's understanding, sync, under WSGI and ASGI: a URLconf and the middleware that puts it in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import re_path

from tests.differential.apps.understood import document, gathered, listed, named, pairs
from tests.differential.message import OTHER_PATH, PATH


def echo(request: HttpRequest) -> HttpResponse:
    raw = request.body
    match = request.resolver_match
    body = gathered(
        path=lambda: [request.path, request.path_info, match.route.strip("^$") if match else ""],
        method=lambda: [str(request.method)],
        query=lambda: named(_items(request.GET)),
        queries=lambda: pairs(_items(request.GET)),
        header=lambda: listed([request.headers["X-Role"], request.META["HTTP_X_ROLE"]]),
        cookie=lambda: pairs(request.COOKIES.items()),
        form=lambda: pairs(_items(request.POST)),
        file=lambda: [text for name, file in _items(request.FILES) for text in (name, *_file(file))],
        json=lambda: document(raw),
        text=lambda: [raw.decode("utf-8", "replace")],
    )
    return HttpResponse(body, content_type="application/json")


def _items(values: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, listed in values.lists() for value in listed]


def _file(file: Any) -> list[str]:
    return [file.name, file.read().decode("utf-8", "replace")]


urlpatterns = [re_path(f"^{path}$", echo) for path in (PATH, OTHER_PATH)] + [re_path("", echo)]


def routed(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A middleware that has these routes serve the request."""

    def serve(request: HttpRequest) -> Any:
        request.urlconf = __name__  # Django reads it, where a middleware sets it
        return get_response(request)

    return serve
