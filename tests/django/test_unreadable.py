"""A body that cannot be read is the app's to hear of: the same exception after the same bytes, whoever looked."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import path

from metlo_otel.testing import MemoryCollector
from tests.contract import wsgi_driver
from tests.contract.http import post
from tests.django.site import OURS, site

Get = Callable[[HttpRequest], Any]
BODY = b"first line\nsecond line\nthird" + b"x" * 3000
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
PART = b'--B\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n' + BODY


class Breaking:
    """`wsgi.input` of a connection that is lost after some bytes: what is asked beyond them raises, each time.

    One that is `short` gives first what there is, as unbuffered servers do; others keep it, and all keep half a line.
    """

    def __init__(self, data: bytes, problem: Exception, short: bool) -> None:
        self._stream = io.BytesIO(data)
        self._problem = problem
        self._short = short

    def read(self, size: int = -1) -> bytes:
        begin = self._stream.tell()
        data = self._stream.read(size)
        return self._given(begin, data, len(data) == size)

    def readline(self, size: int = -1) -> bytes:
        begin = self._stream.tell()
        data = self._stream.readline(size)
        whole = len(data) == size or data.endswith(b"\n")
        return self._given(begin, data if whole else b"", whole)

    def _given(self, begin: int, data: bytes, whole: bool) -> bytes:
        if whole or (self._short and data):
            return data
        self._stream.seek(begin)
        raise self._problem


def outcome(read: Callable[[], Any]) -> str:
    try:
        return f"read {read()!r}"
    except Exception as problem:  # noqa: BLE001 - whatever the view would see
        return f"raised {type(problem).__name__} {problem} of {problem.__cause__!r}"


def by_body(request: HttpRequest) -> list[str]:
    return [outcome(lambda: request.body), outcome(lambda: request.body)]


def in_pieces(request: HttpRequest) -> list[str]:
    return [outcome(lambda: request.read(700)) for _ in range(7)]


def in_lines(request: HttpRequest) -> list[str]:
    return [outcome(request.readline) for _ in range(5)]


def by_form(request: HttpRequest) -> list[str]:
    return [outcome(lambda: dict(request.POST)), outcome(lambda: dict(request.FILES))]


READERS = {reader.__name__: reader for reader in (by_body, in_pieces, in_lines, by_form)}


def view(request: HttpRequest, reader: str) -> HttpResponse:
    return HttpResponse("\n".join(READERS[reader](request)))


urlpatterns = [path("<reader>", view)]
RULE = {"name": "r", "block": True, "body": {"contains": "no such thing"}}
BREAKS = {
    "at once": 0,
    "within a line": 15,
    "after a line": 11,
    "later": 2100,
    "beyond what is looked at": len(BODY) - 1,
}
PROBLEMS = {
    "lost": ConnectionResetError(104, "Connection reset by peer"),
    "of the server": ValueError("a chunk of no size"),
    "late": TimeoutError("timed out"),
}


def answer_to(handler: Any, reader: str, kind: str, stream: Callable[[bytes], Breaking]) -> bytes:
    body = PART if kind == MULTIPART else BODY

    def breaking(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = stream(body)
        return handler(environ, start_response)

    answer = wsgi_driver.serve(breaking, post(f"/{reader}", body, kind))
    return answer.raised.encode() if answer.raised else answer.body


@pytest.mark.parametrize("short", [True, False], ids=["short", "whole"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("reader", READERS)
def test_what_reading_raises(collector: MemoryCollector, reader: str, broken: str, problem: str, short: bool) -> None:
    """However a view reads, and wherever it breaks, it sees what it sees without a rule that looks at bodies."""
    if short and django.VERSION < (5, 0):
        pytest.skip("Django takes what a short read gives for all of a body; behind a rule it hears of the error")

    def stream(body: bytes) -> Breaking:
        return Breaking(body[: BREAKS[broken]], PROBLEMS[problem], short)

    for kind in [FORM, MULTIPART] if reader == "by_form" else ["text/plain"]:
        about = (reader, kind, stream)
        with site("wsgi", collector, __name__, []) as plain:
            expected = answer_to(plain.handler, *about)
        for config in ({}, {"RULES": [RULE], "MAX_BODY": 2048}, {"DETECTION": "block"}):
            with site("wsgi", collector, __name__, [OURS], config) as served:
                assert answer_to(served.handler, *about) == expected
        assert short or b"raised" in expected


@pytest.mark.parametrize("reader", ["by_body", "by_form"])
def test_what_is_too_large(interface: str, collector: MemoryCollector, reader: str) -> None:
    """Django's own limit counts what the view reads, not what was looked at before."""
    sent = post(f"/{reader}", BODY, FORM)
    limits: dict[str, Any] = {"DATA_UPLOAD_MAX_MEMORY_SIZE": 1000}
    with site(interface, collector, __name__, [], **limits) as plain:
        expected = plain.serve(sent)
    assert RequestDataTooBig.__name__.encode() in expected.body
    with site(interface, collector, __name__, [OURS], {"RULES": [RULE]}, **limits) as served:
        assert served.serve(sent).body == expected.body
