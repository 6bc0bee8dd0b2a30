"""What is kept of a raw request: a WSGI environ's text, none of its objects; an ASGI scope's headers unread."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from metlo_otel.core.request import EnvironRequest, ScopeRequest
from tests.contract.http import Call
from tests.contract.wsgi_driver import make_environ

CALL = Call("GET", "/items/42", (("X-Shop", "shoes"),))


class Stream:
    """What a server puts into the environ, and no request may keep."""


@pytest.fixture(autouse=True)
def _unlearned() -> Iterator[None]:
    """What one test's server taught is forgotten for the next."""
    known = EnvironRequest._object_names
    yield
    EnvironRequest._object_names = known


@pytest.mark.parametrize("times", [1, 2], ids=["first", "known by then"])
@pytest.mark.parametrize("name", ["wsgi.input", "server.socket", "NAMED_AS_A_HEADER"])
def test_object_names_are_let_go(name: str, times: int) -> None:
    """Whatever the server or another middleware put there, with the first request as with later ones."""
    for _ in range(times):
        stream = Stream()
        gone = weakref.ref(stream)
        environ: dict[str, Any] = {**make_environ(CALL), name: stream}
        request = EnvironRequest(environ)
        del environ, stream
        assert gone() is None
        assert request.header("x-shop") == ["shoes"]
        assert all(type(value) is str for value in request.environ.values())


def test_text_stays_whole() -> None:
    """All text is there as it was; an object never hides another request's header or variable of its name."""
    EnvironRequest({**make_environ(CALL), "HTTP_X_SHOP": Stream(), "REMOTE_ADDR": None, "wsgi.url_scheme": Stream()})
    environ = make_environ(CALL)
    request = EnvironRequest(environ)
    text = {name: value for name, value in environ.items() if isinstance(value, str)}
    assert {name: request.environ[name] for name in text} == text
    assert request.held == sum(map(len, text.values()))


@pytest.mark.parametrize("key", [5, None, Stream])
def test_any_key_may_stand_there(key: object) -> None:
    """PEP 3333 wants text; what is something else opens no door: the request is read all the same."""
    environ: dict[Any, Any] = {**make_environ(CALL), key: Stream()}
    assert EnvironRequest(environ).header("x-shop") == ["shoes"]


def test_headers_that_can_be_read_once_are_left_to_the_app() -> None:
    """ASGI calls them an iterable; nothing reads them before the app does."""
    headers = iter([(b"x-shop", b"shoes")])
    ScopeRequest({"headers": headers})
    assert list(headers) == [(b"x-shop", b"shoes")]


def test_learns_within_bounds() -> None:
    """A middleware that puts objects under ever new names does not make later requests carry all of them."""
    for number in range(1000):
        EnvironRequest({**make_environ(CALL), f"app.object.{number}": Stream()})
    assert len(EnvironRequest(make_environ(CALL)).environ) < 100


def test_no_password_in_the_host() -> None:
    """A user's name and password in front of a host belong to nobody's inventory."""
    assert EnvironRequest({"HTTP_HOST": "bob:s3cret@shop.example:8000"}).host == "shop.example:8000"
    assert ScopeRequest({"headers": [(b"host", b"bob:s3cret@shop.example")]}).host == "shop.example"
