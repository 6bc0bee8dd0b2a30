"""Streams stay streams: never held back, never run on, told when they end, however they end."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

import metlo_otel.export.pipeline
import metlo_otel.process
from tests.contract.apps import script
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import MakeShop
from tests.contract.http import Call, get, post
from tests.contract.shop import Shop, essence, skip_unless, told


@pytest.mark.parametrize(("path", "pieces"), [("/stream", script.CHUNKS), ("/sse", script.EVENTS)])
def test_stream_is_never_held_back(shop: Shop, path: str, pieces: tuple[bytes, ...]) -> None:
    """Each piece of a stream is at the client before the app makes the next one."""
    call = get(path, on_piece=lambda number: SCRIPT.events.append(f"got {number}"))
    answer, trace = shop.exchange(call)
    assert tuple(answer.pieces) == pieces
    assert SCRIPT.events == [f"{what} {number}" for number in range(len(pieces)) for what in ("made", "got")]
    assert trace["response"]["body"] == b"".join(pieces).decode()


def test_client_that_leaves(shop: Shop) -> None:
    """A client that leaves ends an endless stream as without us; what it got until then is told."""
    answer, trace = shop.exchange(get("/endless", leaves_after=3))
    assert SCRIPT.events == ["ended"]
    assert answer.body == b"tick\n" * 3
    assert trace["response"]["status"] == 200
    told_body = trace["response"]["body"]
    assert told_body.startswith("tick\n" * 3)
    assert set(told_body.split("\n")) == {"tick", ""}


def test_client_that_leaves_at_once(shop: Shop) -> None:
    """So does one that leaves before the first piece."""
    answer, trace = shop.exchange(get("/endless", leaves_after=0))
    assert answer.body == b""
    assert trace["response"]["status"] == 200


def test_server_that_never_closes(shop: Shop) -> None:
    """A response that the server neither reads to the end nor closes is told all the same, when it is let go."""
    skip_unless(not shop.way.is_async, "ASGI has no close()")
    shop.collector.clear()
    call = get("/stream", leaves_after=2, closes=False)
    answer = shop.serve(call)
    gc.collect()
    (trace,) = shop.sent()
    made = b"".join(script.CHUNKS[:3])  # the third could not be sent any more
    expected = told(shop.way, call, answer, route="/stream", response_body=made.decode(), responseBodySize=len(made))
    assert essence(trace) == expected


def test_server_that_never_closes_a_whole_response(shop: Shop) -> None:
    """A response that was read to the end is told without anybody closing it."""
    skip_unless(not shop.way.is_async, "ASGI has no close()")
    shop.collector.clear()
    call = get("/stream", closes=False)
    answer = shop.serve(call)
    (trace,) = shop.sent()
    assert essence(trace) == told(shop.way, call, answer, route="/stream")


def test_client_that_leaves_before_the_answer(shop: Shop) -> None:
    """An upload whose client leaves is told, with what came of it."""
    call = replace(post("/echo", b"all of it", "text/plain"), leaves_after=0)
    answer, trace = shop.exchange(call)
    assert answer.body == b""
    assert trace["request"]["body"] == "all of it"


def test_stream_without_end_is_told_in_time(make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that goes on beyond the time limit is told while it goes on, once, and is not disturbed."""
    monkeypatch.setattr(metlo_otel.process, "STREAM_LIMIT", 0.0)
    monkeypatch.setattr(metlo_otel.export.pipeline, "EVERY", 0.02)
    shop = make_shop()
    seen: list[int] = []

    def wait(number: int) -> None:
        if number == 2:
            seen.append(len(shop.collector.wait(1)))

    answer = shop.serve(Call("GET", "/stream", on_piece=wait))
    assert tuple(answer.pieces) == script.CHUNKS
    assert seen == [1]
    (trace,) = shop.sent()
    assert trace["response"]["status"] == 200
    assert trace["response"]["body"].startswith("chunk0\n")
