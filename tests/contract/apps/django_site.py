"""One Django site for all tests: the least settings that Django needs, and who its customers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest


def set_up() -> None:
    """Configure Django, once for the process."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="tests",
            ALLOWED_HOSTS=["*"],
            USE_TZ=True,
            ROOT_URLCONF="tests.contract.apps.django_sync",
            MIDDLEWARE=[],
            LOGGING_CONFIG=None,
        )
        django.setup()


class CustomerMiddleware:
    """A middleware that comes later than ours and says who the customer is."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if "X-Customer" in request.headers:
            note(request, request.headers["X-Customer"])
        return self._get_response(request)


def note(request: HttpRequest, user: str) -> None:
    request.META["shop.user"] = user


def user_of(request: HttpRequest) -> object:
    """What a GET_USER of this app would be."""
    return request.META.get("shop.user")
