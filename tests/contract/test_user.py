"""GET_USER and set_user: who makes a request, asked once, in the request's own context, and never to the app's harm."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import MakeShop
from tests.contract.http import Call, get
from tests.contract.shop import Shop, skip_unless
from tests.contract.ways import Way


def shop_asking(make_shop: MakeShop, way: Way) -> Shop:
    """A shop whose GET_USER looks where its own code says who the customer is."""

    def get_user(request: Any) -> object:
        SCRIPT.asked.append(request)
        return way.user_of(request)

    return make_shop(GET_USER=get_user)


def user_of(shop: Shop, call: Call) -> object:
    """The user that is told of a call."""
    _, trace = shop.exchange(call)
    return trace["request"]["user"]


def test_user_set_by_the_view(make_shop: MakeShop, way: Way) -> None:
    """GET_USER sees what the view set, and is asked once a request."""
    shop = shop_asking(make_shop, way)
    assert user_of(shop, get("/login")) == "u7"
    assert len(SCRIPT.asked) == 1


def test_user_set_by_a_later_middleware(make_shop: MakeShop, way: Way) -> None:
    """GET_USER sees what a middleware inside of ours set."""
    assert user_of(shop_asking(make_shop, way), get("/users/7", ("X-Customer", "carol"))) == "carol"


def test_nobody(make_shop: MakeShop, way: Way) -> None:
    """A GET_USER that finds nobody leaves the user open."""
    assert user_of(shop_asking(make_shop, way), get("/users/7")) is None


def test_user_of_a_request_that_fails(make_shop: MakeShop, way: Way) -> None:
    """Who ran into an exception is told as well."""
    shop = shop_asking(make_shop, way)
    assert user_of(shop, get("/boom", ("X-Customer", "carol"))) == "carol"
    assert len(SCRIPT.asked) == 1


def test_user_that_is_no_text(make_shop: MakeShop) -> None:
    """A user's number is told as text."""
    assert user_of(make_shop(GET_USER=lambda request: 42), get("/users/7")) == "42"


def test_set_user(make_shop: MakeShop, way: Way) -> None:
    """What the view says by set_user wins, and GET_USER is not asked."""
    shop = shop_asking(make_shop, way)
    assert user_of(shop, get("/named", ("X-Customer", "carol"))) == "named-8"
    assert SCRIPT.asked == []


def test_async_get_user(make_shop: MakeShop, way: Way) -> None:
    """GET_USER may be async where the framework is."""
    skip_unless(way.is_async, "nothing can be awaited under WSGI")

    async def get_user(request: Any) -> object:
        SCRIPT.asked.append(request)
        return way.user_of(request)

    shop = make_shop(GET_USER=get_user)
    assert user_of(shop, get("/login")) == "u7"
    assert user_of(shop, get("/boom", ("X-Customer", "carol"))) == "carol"
    assert len(SCRIPT.asked) == 2


def test_async_get_user_without_a_loop(make_shop: MakeShop, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be awaited an async GET_USER is said to be wrong, once, and the app goes on."""
    skip_unless(not way.is_async, "under ASGI it is right")

    async def get_user(request: Any) -> object:
        raise AssertionError("cannot be reached")

    shop = make_shop(GET_USER=get_user)
    assert user_of(shop, get("/users/7")) is None
    assert user_of(shop, get("/users/7")) is None
    lines = [record.getMessage() for record in caplog.records if record.name == "metlo_otel"]
    assert lines == ["GET_USER is async, but this app is not; no user is recorded"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_get_user_that_raises(
    make_shop: MakeShop, way: Way, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing GET_USER changes nothing for the client; one line says it, without the request's content."""
    skip_unless(way.is_async or not asynchronous, "nothing can be awaited under WSGI")

    def fails(request: Any) -> object:
        raise LookupError("secret-in-the-text")

    async def fails_later(request: Any) -> object:
        raise LookupError("secret-in-the-text")

    shop = make_shop(GET_USER=fails_later if asynchronous else fails)
    failures = shop.agent.guard.failures
    for _ in range(3):
        assert user_of(shop, get("/users/7")) is None
    assert shop.agent.guard.failures == failures + 3
    (record,) = [record for record in caplog.records if record.name == "metlo_otel"]
    assert record.levelno == logging.ERROR
    assert "LookupError" in record.getMessage()
    assert "secret-in-the-text" not in caplog.text


def test_user_stays_with_its_request(make_shop: MakeShop, way: Way) -> None:
    """The next request does not inherit a user."""
    shop = shop_asking(make_shop, way)
    assert user_of(shop, get("/named")) == "named-8"
    assert user_of(shop, get("/users/7")) is None


class Unspeakable:
    """A user whose text cannot be had, as a lazy object of Django's in an async view."""

    def __str__(self) -> str:
        raise RuntimeError("not here")


def test_user_without_a_text(make_shop: MakeShop, way: Way) -> None:
    """What GET_USER gives is the app's own, and making a text of it may fail: then there is no user, and no harm."""

    async def lazily(request: Any) -> object:
        return Unspeakable()

    assert user_of(make_shop(GET_USER=lambda request: Unspeakable()), get("/users/7")) is None
    if way.is_async:
        assert user_of(make_shop(GET_USER=lazily), get("/users/7")) is None
