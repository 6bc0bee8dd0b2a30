"""Where the agent stands among the middlewares, and what else serves the same request: told once, or said clearly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

import metlo_otel.django
from metlo_otel.asgi import ASGIMiddleware
from metlo_otel.testing import MemoryCollector
from metlo_otel.wsgi import WSGIMiddleware
from tests.contract.http import Call, post
from tests.django.site import OURS, site

Get = Callable[[HttpRequest], Any]
BATCH: list[Any] = []


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body or b"nothing")


def batch(request: HttpRequest) -> HttpResponse:
    """Asks the site itself, with what the request has but for the path, as apps for batches of requests do."""
    within = RequestFactory().get("/closed")
    within.META.update({name: value for name, value in request.META.items() if name not in ("PATH_INFO", "wsgi.input")})
    response = BATCH[0](within)
    response.close()
    return HttpResponse(f"{response.status_code}")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.POST.dict()))


urlpatterns = [path("view", view), path("form", form), path("closed", view), path("batch", batch)]
CLOSED = {"name": "closed", "block": True, "path": "/closed"}


def reading_body(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        assert request.body
        return get_response(request)

    return middleware


def reading_stream(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        assert request.read()
        return get_response(request)

    return middleware


def reading_form(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        assert request.POST or request.FILES
        return get_response(request)

    return middleware


class Inner(metlo_otel.django.MetloDjango):
    """A project's own."""


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "metlo_otel"]


@pytest.mark.parametrize("inner", [OURS, f"{__name__}.Inner"])
def test_twice_in_the_middlewares(
    interface: str, collector: MemoryCollector, inner: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is told once, and the log says what to remove, once."""
    with site(interface, collector, __name__, [OURS, inner]) as served:
        for _ in range(3):
            assert served.get("/view").body == b"nothing"
        assert len(served.told()) == 3
    (text,) = said(caplog)
    assert "MIDDLEWARE" in text
    assert "twice" in text
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_site_within_an_agent(interface: str, collector: MemoryCollector) -> None:
    """Where the server runs the site in our WSGI or ASGI middleware as well, that one tells the request, alone."""
    with site(interface, collector, __name__) as served:
        settings = {"host": collector.url, "api_key": collector.api_key}
        make: Any = WSGIMiddleware if interface == "wsgi" else ASGIMiddleware
        served.handler = outer = make(served.handler, **settings)
        assert served.get("/view").body == b"nothing"
        served.told()
        assert outer.agent.flush(10.0)
        assert served.agent.stats().captured + outer.agent.stats().captured == 1
        outer.agent.shutdown(1.0)


@pytest.mark.parametrize("reader", ["reading_body", "reading_stream"])
def test_behind_what_reads_the_body(
    interface: str, collector: MemoryCollector, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says, once, what is lost there and how to mend it."""
    with site(interface, collector, __name__, [f"{__name__}.{reader}", OURS]) as served:
        for _ in range(3):
            served.serve(post("/closed", b"0123456789"))
        served.told()
    (text,) = said(caplog)
    assert "after one that reads the request's body" in text
    assert "in front of it" in text


PART = '--B\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'


@pytest.mark.parametrize(
    ("fields", "status", "incomplete"),
    [
        ([("q", "", "good")], 200, None),
        ([("q", "", "good"), ("r", "", "some evil")], 403, None),
        ([('evil\\"', "", "")], 403, None),
        ([("f", '; filename="a.txt"', "evil")], 200, ["read_before"]),
        ([("f", '; filename="evil.txt"', "text")], 403, ["read_before"]),
    ],
)
def test_a_form_that_was_read(
    interface: str, collector: MemoryCollector, fields: Any, status: int, incomplete: Any
) -> None:
    """Rules look at what `request.POST` holds where a middleware outside has asked it; that files are gone is told."""
    body = "".join(PART.format(*field) for field in fields) + "--B--\r\n"
    rules = [{"name": "evil", "block": True, "body": {"contains": "evil"}}]
    middleware = [f"{__name__}.reading_form", OURS]
    with site(interface, collector, __name__, middleware, config={"RULES": rules}) as served:
        call = Call("POST", "/form", (("Content-Type", "multipart/form-data; boundary=B"),), (body.encode(),))
        assert served.serve(call).status == status
        (trace,) = served.told()
    assert trace["meta"].get("incomplete") == incomplete
    assert ("q" in trace["request"]["body"]) == (fields[0][0] == "q")


def test_what_others_read_later_is_said_of_nobody(
    interface: str, collector: MemoryCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """A middleware that reads the body behind ours is in its place."""
    with site(interface, collector, __name__, [OURS, f"{__name__}.reading_body"]) as served:
        served.serve(post("/view", b"0123456789"))
        (trace,) = served.told()
    assert trace["request"]["body"] == "0123456789"
    assert said(caplog) == []


def test_requests_made_of_a_request(collector: MemoryCollector) -> None:
    """A request that the app makes of the one it answers is one of its own: told, and subject to rules."""
    with site("wsgi", collector, __name__, config={"RULES": [CLOSED]}) as served:
        BATCH[:] = [WSGIHandler().get_response]
        assert served.get("/batch").body == b"403"
        traces = served.told()
    assert {trace["request"]["url"]["path"]: trace["response"]["status"] for trace in traces} == {
        "/batch": 200,
        "/closed": 403,
    }


def test_async_client(collector: MemoryCollector) -> None:
    """Django's AsyncClient has the query as text in its scope; it is told, and rules look at it."""
    rule = {"name": "q", "block": True, "parameter": {"q": "1"}}
    with site("asgi", collector, __name__, config={"RULES": [rule]}) as served:
        client = AsyncClient()

        async def ask(value: str) -> Any:
            return await client.get(f"/view?q={value}")

        asked = [asyncio.run(ask(value)) for value in ("0", "1", "%31", "\u4e16")]
        statuses = [answer.status_code for answer in asked]
        traces = served.told()
    assert statuses == [200, 403, 403, 200]
    parameters = [trace["request"]["url"]["parameters"] for trace in traces]
    assert parameters == [[{"name": "q", "value": value}] for value in ("0", "1", "1", "\u4e16")]


def test_client(collector: MemoryCollector) -> None:
    """Django's Client calls the handler without a server; each request of it is told."""
    with site("wsgi", collector, __name__, config={"RULES": [CLOSED]}) as served:
        client = Client()
        assert [client.get(target).status_code for target in ("/view", "/closed")] == [200, 403]
        assert client.post("/view", b"sent", content_type="text/plain").content == b"sent"
        assert client.head("/view").content == b""
        traces = served.told()
    assert [(trace["response"]["status"], trace["request"]["body"]) for trace in traces] == [
        (200, ""),
        (403, ""),
        (200, "sent"),
        (200, ""),
    ]
