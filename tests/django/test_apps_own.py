"""What a Django app does around its views goes on as without us: transactions of a request, and upload handlers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadhandler import (
    FileUploadHandler,
    MemoryFileUploadHandler,
    SkipFile,
    StopUpload,
    TemporaryFileUploadHandler,
)
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from metlo_otel.testing import MemoryCollector
from tests.contract.http import Answer, post
from tests.django.site import OURS, site

BODY_RULE = [{"name": "never", "block": True, "body": {"contains": "what nobody says"}}]
PLAIN: tuple[tuple[str, ...], dict[str, Any]] = ((), {})
WITH_US: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "nothing to decide": ((OURS,), {}),
    "a rule on bodies": ((OURS,), {"RULES": BODY_RULE}),
    "detection": ((OURS,), {"DETECTION": "block"}),
}
SEEN: list[Any] = []
BOUNDARY = "----between"
SIZES = (0, 10, 70_000, 300_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[None]:
    """A database of Django's, with a transaction for each request."""
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "shop.db", "ATOMIC_REQUESTS": True}
    _use({"default": own})
    with connection.cursor() as cursor:
        cursor.execute("create table bought (what text)")
    yield
    connections.close_all()
    _use(None)


def _use(databases: dict[str, Any] | None) -> None:
    """Django's connections, from these databases, or those of its settings."""
    handler: Any = connections
    handler._settings = databases
    handler.__dict__.pop("settings", None)
    with suppress(AttributeError):  # none was opened
        del handler["default"]


def buy(request: HttpRequest) -> HttpResponse:
    SEEN.append(connection.in_atomic_block)
    with connection.cursor() as cursor:
        cursor.execute("insert into bought values (%s)", [request.body.decode()])
    if request.GET.get("how") == "fails":
        raise RuntimeError("the till is on fire")
    return HttpResponse(b"bought", status=int(request.GET.get("how", "200")))


def bought() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("select what from bought")
        return [what for (what,) in cursor.fetchall()]


class Noting(FileUploadHandler):
    """Notes all that Django tells an upload handler, and stops or skips where the test says so."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        SEEN.append(("file", self.field_name, self.file_name, self.content_type))
        if self.file_name == "skipped":
            raise SkipFile
        if self.file_name == "stopped":
            raise StopUpload(connection_reset=False)

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        _, meta, content_length = args[:3]
        SEEN.append(("raw", content_length, sorted(name for name in meta if name.startswith("CONTENT_"))))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        SEEN.append(("chunk", start, len(raw_data)))
        return raw_data

    def file_complete(self, file_size: int) -> None:
        SEEN.append(("complete", file_size))

    def upload_complete(self) -> None:
        SEEN.append(("all",))

    def upload_interrupted(self) -> None:
        SEEN.append(("interrupted",))


def upload(request: HttpRequest) -> HttpResponse:
    request.upload_handlers = [Noting(request), MemoryFileUploadHandler(request), TemporaryFileUploadHandler(request)]
    uploaded: Any = request.FILES
    files = {name: (type(file).__name__, file.size, not file.closed and file.read()) for name, file in uploaded.items()}
    SEEN.append((files, dict(request.POST.items())))
    return HttpResponse(b"kept")


urlpatterns = [path("buy", buy), path("upload", upload)]


def form(names: list[str], size: int) -> bytes:
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nfor you\r\n'.encode()]
    for number, name in enumerate(names):
        told = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file{number}"; filename="{name}"\r\n'
        parts.append(told.encode() + b"Content-Type: image/png\r\n\r\n" + b"\x01\x02\xff" * (size // 3) + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def asked(
    interface: str, collector: MemoryCollector, how: tuple[Any, Any], *calls: Any
) -> tuple[list[Answer], list[Any]]:
    """What clients get, and what the app has seen."""
    middleware, config = how
    SEEN.clear()
    with site(interface, collector, __name__, middleware, config) as served:
        return [served.serve(call) for call in calls], SEEN.copy()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("how", WITH_US)
def test_a_request_is_one_transaction(interface: str, collector: MemoryCollector, how: str) -> None:
    """ATOMIC_REQUESTS: what a view wrote before it raised is undone, and only that."""
    calls = [post("/buy", b"tea"), post("/buy?how=fails", b"fire"), post("/buy?how=404", b"milk")]
    answers, seen = asked(interface, collector, WITH_US[how], *calls)
    assert [answer.status for answer in answers] == [200, 500, 404]
    assert (bought(), seen) == (["tea", "milk"], [True, True, True])


@pytest.mark.usefixtures("database")
def test_a_rejected_request_writes_nothing(interface: str, collector: MemoryCollector) -> None:
    """Neither where it is rejected before the view, nor where the view reads what it is rejected for."""
    config = {"RULES": [{"name": "milk", "block": True, "body": {"contains": "milk"}}]}
    late = post("/buy", b"milk", "text/plain", ("Expect", "100-continue"))
    answers, _ = asked(interface, collector, ((OURS,), config), post("/buy", b"milk"), late, post("/buy", b"tea"))
    assert [answer.status for answer in answers] == [403, 403, 200]
    assert bought() == ["tea"]


@pytest.mark.parametrize("how", WITH_US)
@pytest.mark.parametrize("names", [["a"], ["a", "skipped", "b"], ["a", "stopped", "b"]], ids=" ".join)
def test_upload_handlers(interface: str, collector: MemoryCollector, names: list[str], how: str) -> None:
    """An app's own upload handlers are told the same, chunk by chunk, and get to stop and to skip."""
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=100_000):
        for size, expect in itertools.product(SIZES, ((), (("Expect", "100-continue"),))):
            call = post("/upload", form(names, size), kind, *expect)
            plain = asked(interface, collector, PLAIN, call)
            ours = asked(interface, collector, WITH_US[how], call)
            assert [answer.status for answer in plain[0]] == [200]
            assert ours == plain
            assert len(plain[1]) > 3
