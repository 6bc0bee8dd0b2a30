"""Django's caches hold what they hold without us, and each request that they answer is told as one of its own."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.cache import cache_page

from metlo_otel.testing import MemoryCollector
from tests.contract.http import Answer, get
from tests.django.site import OURS, Site, site

UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
# Where the agent may stand. In front of FetchFromCacheMiddleware it sees what comes from the cache.
POSITIONS = {
    "within": [UPDATE, COMMON, OURS, FETCH],
    "around": [OURS, UPDATE, COMMON, FETCH],
    "compressed": [UPDATE, GZIP, CONDITIONAL, OURS, COMMON, FETCH],
}
ZIPPED = ("Accept-Encoding", "gzip")
CALLS: list[str] = []


def called(request: HttpRequest) -> str:
    CALLS.append(request.path)
    return f"answer {len(CALLS)} " + "to be compressed " * 30


def plain(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(called(request))
    response["X-Made"] = "by the view"
    return response


def template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, engines["django"].from_string("{{ text }}"), {"text": called(request)})


urlpatterns = [
    path("plain", plain),
    path("template", template),
    path("view/plain", cache_page(60)(plain)),
    path("view/template", cache_page(60)(template)),
]
PATHS = ["/plain", "/template", "/view/plain", "/view/template"]


class ByReference(BaseCache):
    """A cache that gives everybody the same object, as some keep it for speed; one for all threads."""

    held: ClassVar[dict[str, Any]] = {}

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def set(self, key: str, value: Any, *_: Any, **__: Any) -> None:
        self.held[key] = value

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self.held.get(key, default)


def backends(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(folder)},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(folder)},
        "by reference": {"BACKEND": f"{__name__}.ByReference", "LOCATION": ""},
    }


def text(answer: Answer) -> str:
    return (gzip.decompress(answer.body) if answer.header("Content-Encoding") else answer.body).decode()


@contextmanager
def caching(
    interface: str, collector: MemoryCollector, middleware: list[str], backend: str, folder: Path
) -> Iterator[Site]:
    about: dict[str, Any] = {
        "CACHES": {"default": backends(folder)[backend]},
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        "CACHE_MIDDLEWARE_KEY_PREFIX": "tests",
    }
    CALLS.clear()
    ByReference.held.clear()
    with site(interface, collector, __name__, middleware, **about) as made:
        yield made


@pytest.mark.parametrize("target", PATHS)
@pytest.mark.parametrize("backend", ["memory", "files", "by reference"])
@pytest.mark.parametrize("position", POSITIONS)
def test_what_a_cache_answers_is_told(
    interface: str, collector: MemoryCollector, position: str, backend: str, target: str, tmp_path: Path
) -> None:
    """A page is made once, answered from the cache twice, and told three times, each time as it was sent."""
    middleware = POSITIONS[position]
    alone = [path for path in middleware if path != OURS]
    with caching(interface, collector, alone, backend, tmp_path / "alone") as without:
        expected = [without.serve(get(target, ZIPPED)) for _ in range(3)]
    with caching(interface, collector, middleware, backend, tmp_path / "ours") as served:
        answers = [served.serve(get(target, ZIPPED)) for _ in range(3)]
        traces = served.told()
        made = CALLS.copy()
    assert made == [target]
    texts = [text(answer) for answer in answers]
    assert texts == [text(answer) for answer in expected]
    assert [answer.status for answer in (*expected, *answers)] == [200] * 6
    assert [trace["response"]["status"] for trace in traces] == [200, 200, 200]
    assert [trace["response"]["body"] for trace in traces] == texts
    assert len({trace["meta"]["traceId"] for trace in traces}) == 3


@pytest.mark.parametrize("target", PATHS)
def test_nothing_of_ours_is_in_a_cache(interface: str, collector: MemoryCollector, target: str, tmp_path: Path) -> None:
    """What is in the cache can be read where the agent is not installed."""
    with caching(interface, collector, POSITIONS["within"], "memory", tmp_path) as served:
        served.get(target)
        held = vars(caches["default"])["_cache"].values()
        assert held
        for pickled in held:
            assert b"metlo" not in pickled
            made = pickle.loads(pickled)
            assert getattr(made, "_resource_closers", []) == []
