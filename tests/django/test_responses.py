"""What a Django site sends is told as it is sent, whatever middlewares and views make of it on its way."""

from __future__ import annotations

import gc
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.urls import path
from django.views import View

from metlo_otel.testing import MemoryCollector
from tests.contract.http import Call, get, post
from tests.django.site import OURS, site

Get = Callable[[HttpRequest], Any]
ONE_FOR_ALL = HttpResponse("the same object")
NOTED: list[object] = []


class Unclosed(HttpResponse):
    """A response that tells nobody of its end."""

    def close(self) -> None:
        pass


class Spelled:
    """What a stream may hold beside text and bytes; it can be spelled once."""

    spelled = False

    def __str__(self) -> str:
        assert not self.spelled
        self.spelled = True
        return "spelled"


async def chunks() -> AsyncIterator[Any]:
    for chunk in ("text ", b"bytes ", Spelled()):
        yield chunk


async def breaking() -> AsyncIterator[bytes]:
    yield b"so far"
    raise RuntimeError("the till is on fire")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks() if hasattr(request, "scope") else iter(["text ", b"bytes ", Spelled()]))


def broken(request: HttpRequest) -> StreamingHttpResponse:
    def plain() -> Iterator[bytes]:
        yield b"so far"
        raise RuntimeError("the till is on fire")

    return StreamingHttpResponse(breaking() if hasattr(request, "scope") else plain())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"0123456789"), filename="digits.txt")


def part(request: HttpRequest) -> FileResponse:
    response = file(request)
    response.streaming_content = [b"234"]
    response.status_code, response["Content-Range"], response["Content-Length"] = 206, "bytes 2-4/10", "3"
    return response


class OnlyGet(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("got")


async def natively(request: HttpRequest) -> HttpResponse:
    return HttpResponse("natively")


urlpatterns = [
    path("plain", lambda request: HttpResponse("plain")),
    path("same", lambda request: ONE_FOR_ALL),
    path("unclosed", lambda request: Unclosed("unclosed")),
    path("streamed", streamed),
    path("broken", broken),
    path("file", file),
    path("part", part),
    path("only-get", OnlyGet.as_view()),
    path("natively", natively),
]


def replacing(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        get_response(request)
        return HttpResponse("another", status=418, headers={"X-Another": "1"})

    return middleware


def raising(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        get_response(request)
        raise RuntimeError("the till is on fire")

    return middleware


def changing(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        response.status_code = 203
        response["X-Changed"] = "1"
        response.set_cookie("sid", "1")
        if not response.streaming:
            response.content = b"changed"
        return response

    return middleware


def noting_files(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        NOTED.append(response.file_to_stream)
        return response

    return middleware


def sync_only(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


def told_of(trace: dict[str, Any]) -> tuple[int, str]:
    return trace["response"]["status"], trace["response"]["body"]


@pytest.mark.parametrize(("middleware", "expected"), [("replacing", (418, "another")), ("changing", (203, "changed"))])
def test_what_is_further_out_is_told(
    interface: str, collector: MemoryCollector, middleware: str, expected: tuple[int, str]
) -> None:
    """A middleware in front of ours that changes the response, or puts another in its place, is what a client gets."""
    with site(interface, collector, __name__, [f"{__name__}.{middleware}", OURS]) as served:
        answer = served.get("/plain")
        (trace,) = served.told()
    assert (answer.status, answer.body.decode()) == expected == told_of(trace)
    headers = [(header["name"], header["value"]) for header in trace["response"]["headers"]]
    assert sorted(headers) == sorted((name, value.strip()) for name, value in answer.headers)


def test_what_is_raised_further_out_is_told(interface: str, collector: MemoryCollector) -> None:
    """An exception of a middleware in front of ours is the 500 that the client gets."""
    with site(interface, collector, __name__, [f"{__name__}.raising", OURS]) as served:
        answer = served.get("/plain")
        (trace,) = served.told()
    assert answer.status == 500
    assert told_of(trace) == (500, answer.body.decode())


@pytest.mark.parametrize("middleware", ["changing", "django.middleware.gzip.GZipMiddleware"])
def test_streams(interface: str, collector: MemoryCollector, middleware: str) -> None:
    """A stream is told as text of what its view gave, with the status and headers that were sent."""
    outer = middleware if "." in middleware else f"{__name__}.{middleware}"
    with site(interface, collector, __name__, [outer, OURS]) as served:
        answer = served.get("/streamed")
        (trace,) = served.told()
    assert answer.body == b"text bytes spelled"
    assert told_of(trace) == (answer.status, "text bytes spelled")
    names = {header["name"] for header in trace["response"]["headers"]}
    assert names == {name for name, _ in answer.headers}


@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")  # Django's own, of the request's body
def test_stream_that_breaks(interface: str, collector: MemoryCollector) -> None:
    """What a view's stream raises reaches the server, and what had passed is told."""
    with site(interface, collector, __name__) as served:
        answer = served.get("/broken")
        (trace,) = served.told()
    assert answer.raised == "RuntimeError: the till is on fire"
    assert told_of(trace) == (200, "so far")
    gc.collect()  # what Django has left open goes now, not in another test


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize(("target", "expected"), [("/file", (200, "0123456789")), ("/part", (206, "234"))])
def test_files(interface: str, collector: MemoryCollector, target: str, expected: tuple[int, str]) -> None:
    """A file's response has its file still when it leaves our middleware, and is told."""
    NOTED.clear()
    kinds = []
    for middleware in ([f"{__name__}.noting_files"], [f"{__name__}.noting_files", OURS]):
        with site(interface, collector, __name__, middleware) as served:
            answer = served.get(target)
            assert (answer.status, answer.body.decode()) == expected
            kinds.append(type(NOTED.pop()))
            traces = served.told() if OURS in middleware else []
    assert kinds[0] is kinds[1]
    assert [told_of(trace) for trace in traces] == [expected]


def test_one_object_for_all(interface: str, collector: MemoryCollector) -> None:
    """A response that a view keeps and gives to everybody is told once for each request."""
    with site(interface, collector, __name__) as served:
        for _ in range(3):
            assert served.get("/same").body == b"the same object"
        traces = served.told()
    assert [told_of(trace) for trace in traces] == [(200, "the same object")] * 3
    assert len({trace["meta"]["traceId"] for trace in traces}) == 3


@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")  # Django's before 5.0, as above
def test_response_that_tells_nobody_of_its_end(interface: str, collector: MemoryCollector) -> None:
    """It is told all the same, as it left our middleware, once Python has found that nobody holds it."""
    with site(interface, collector, __name__) as served:
        assert served.get("/unclosed").body == b"unclosed"
        gc.collect()
        served.get("/plain")
        traces = served.told()
    assert sorted(told_of(trace) for trace in traces) == [(200, "plain"), (200, "unclosed")]


@pytest.mark.parametrize("target", ["/plain", "/streamed"])
def test_head_has_no_body(interface: str, collector: MemoryCollector, target: str) -> None:
    """Servers cut what a view makes in answer to HEAD: no client gets it, so it is not told."""
    with site(interface, collector, __name__) as served:
        served.serve(Call("HEAD", target))
        (trace,) = served.told()
    assert told_of(trace) == (200, "")
    assert trace["meta"]["responseBodySize"] == 0


def test_method_that_is_not_allowed_keeps_its_route(interface: str, collector: MemoryCollector) -> None:
    """405 is told under the route that does not take the method."""
    with site(interface, collector, __name__) as served:
        assert served.serve(post("/only-get", b"x")).status == HttpResponseNotAllowed.status_code
        (trace,) = served.told()
    assert trace["request"]["url"]["endpointPath"] == "/only-get"
    assert trace["response"]["status"] == 405


def test_async_views_behind_sync_middlewares(interface: str, collector: MemoryCollector) -> None:
    """Django changes between threads and the event loop there, and the request is told once."""
    around = [f"{__name__}.sync_only", OURS, f"{__name__}.sync_only"]
    with site(interface, collector, __name__, around) as served:
        assert served.serve(get("/natively")).body == b"natively"
        (trace,) = served.told()
    assert told_of(trace) == (200, "natively")
