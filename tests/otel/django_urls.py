"""The Django project's routes, with sync views and with async ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.otel.apps import ANSWER, ANSWER_HEADER, CHUNKS


def item(request: HttpRequest, id: int) -> HttpResponse:  # noqa: A002 - the route's own name for it
    """Reads its body, answers JSON."""
    assert len(request.body) == int(request.META.get("CONTENT_LENGTH") or 0)
    return HttpResponse(ANSWER, headers=dict([ANSWER_HEADER]), content_type="application/json")


async def item_async(request: HttpRequest, id: int) -> HttpResponse:  # noqa: A002 - the route's own name for it
    """The same, async."""
    return item(request, id)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answers in chunks."""
    return StreamingHttpResponse(iter(CHUNKS), content_type="text/plain")


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    """The same, async."""
    return StreamingHttpResponse(_chunks(), content_type="text/plain")


async def _chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


urlpatterns = [
    path("items/<int:id>", item),
    path("stream", stream),
    path("async/items/<int:id>", item_async),
    path("async/stream", stream_async),
]
