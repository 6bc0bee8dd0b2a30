"""Rules on request bodies: the beginning is read ahead where a rule asks for it, and the app reads it again."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Call, get, post
from tests.contract.shop import Shop, skip_unless
from tests.contract.test_bodies import FORM, MULTIPART, UPLOAD

MAX_BODY, MAX_INSPECT = 300, 3000
ATTACK = b"the attack"
TEXT = "text/plain"
ON_BODY = condition("request_body", "contains", ATTACK.decode())


def put(config: dict[str, Any], *rules: dict[str, Any]) -> dict[str, Any]:
    return {**config, "wafConfig": list(rules)}


@pytest.fixture
def guarded(make_shop: MakeShop, collector: MemoryCollector) -> Shop:
    """A shop that refuses bodies with the attack in them."""
    collector.config = put(FULL, wire(every(ON_BODY), uuid="on-body"))
    return in_force(make_shop(MAX_BODY=MAX_BODY, MAX_INSPECT=MAX_INSPECT))


def pieces(*parts: bytes, path: str = "/echo", chunked: bool = True) -> Call:
    return Call("POST", path, (("Content-Type", TEXT),), parts, chunked=chunked)


LARGE = bytes(range(256)) * 8  # longer than MAX_BODY

HARMLESS = [
    get("/echo"),
    post("/json", b'{"name": "Bob", "tags": ["a", "b"]}', "application/json"),
    post("/form", b"name=Bob+B&email=bob%40example.com&n=1&n=2", FORM),
    post("/upload", UPLOAD, MULTIPART),
    post("/upload", UPLOAD.replace(b"\x00\x01\xff\xfe", LARGE), MULTIPART),
    post("/echo", LARGE),
    post("/raw", LARGE),
    post("/lines", b"line one\nline two\n\n" + LARGE),
    pieces(b"first\n", b"second\n", b"third"),
    pieces(b"first\n", LARGE, b"", b"third", path="/raw"),
    pieces(b"first\n", LARGE, b"third", path="/lines"),
    pieces(b"one ", b"two ", LARGE, chunked=False),
]


@pytest.mark.parametrize("call", HARMLESS, ids=range(len(HARMLESS)))
def test_read_ahead_is_read_again(guarded: Shop, call: Call) -> None:
    """Bodies of every kind, whole and chunked, longer than what is read ahead or not, reach the app byte for byte."""
    _, trace = guarded.exchange(call)
    empty = guarded.way.name == "django-wsgi" and call.chunked  # Django takes a WSGI body without a length for empty
    assert trace["meta"]["requestBodySize"] == (0 if empty else len(call.body))


HARMFUL = [
    post("/ignore", ATTACK, TEXT),
    post("/ignore", b'{"a": "' + ATTACK + b'"}', "application/json"),
    post("/ignore", UPLOAD.replace(b"hello", ATTACK), MULTIPART),
    post("/ignore", gzip.compress(LARGE, mtime=0)[:50] + ATTACK),
    post("/ignore", b"\xff\x00\xfe" + ATTACK),
    Call("POST", "/ignore", (), (b"it is the", b" atta", b"ck")),
]


@pytest.mark.parametrize("call", HARMFUL, ids=["text", "json", "multipart", "gzip", "binary", "pieces"])
def test_a_body_that_matches(guarded: Shop, call: Call) -> None:
    """What a rule looks for is found in any kind of body; the view does not run, and the body is told."""
    assert guarded.serve(call).status == 403
    assert SCRIPT.events == []
    (trace,) = guarded.sent()
    assert trace["processedTraceData"]["block"] is True
    assert trace["meta"]["requestBodySize"] == len(call.body)


def test_a_chunked_body_that_matches(guarded: Shop) -> None:
    """A body without a Content-Length is looked at too."""
    skip_unless(guarded.way.name != "django-wsgi", "Django takes a WSGI body without a length for empty")
    assert guarded.serve(pieces(b"it is the", b" attack", path="/ignore")).status == 403
    assert SCRIPT.events == []


def test_a_chunked_body_with_a_false_length(guarded: Shop) -> None:
    """A Content-Length beside the chunks cuts nothing off for the rules: apps read to the end of the chunks."""
    skip_unless(guarded.way.name != "django-wsgi", "Django reads a WSGI body as far as its Content-Length")
    call = Call("POST", "/ignore", (("Content-Length", "1"),), (b"it is the", b" attack"), chunked=True)
    assert guarded.serve(call).status == 403
    assert SCRIPT.events == []


def test_a_body_over_http2_that_matches(guarded: Shop) -> None:
    """A body of which no header tells is looked at too, and told as the app reads it."""
    skip_unless(guarded.way.name != "django-wsgi", "Django takes a WSGI body without a length for empty")
    assert guarded.serve(Call("POST", "/ignore", (), (b"it is the", b" attack"), http2=True)).status == 403
    assert SCRIPT.events == []
    assert len(guarded.sent()) == 1
    _, trace = guarded.exchange(Call("POST", "/echo", (("Content-Type", TEXT),), (b"it is", b" harmless"), http2=True))
    assert trace["request"]["body"] == "it is harmless"


def test_only_the_beginning_is_looked_at(guarded: Shop) -> None:
    """A rule sees MAX_INSPECT bytes, to the byte, and no more is read before the app does."""
    fitting = b"x" * (MAX_INSPECT - len(ATTACK)) + ATTACK
    assert guarded.serve(post("/ignore", fitting)).status == 403
    answer = guarded.serve(post("/ignore", b"x" + fitting + LARGE))
    assert answer.status == 200
    if not guarded.way.is_async:  # there bodies come in the server's own pieces
        assert answer.consumed == MAX_INSPECT
    assert SCRIPT.events == ["ignored"]


def test_nothing_is_read_ahead_for_other_requests(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """Where a rule's other conditions do not match, no byte is taken before the app takes it."""
    collector.config = put(FULL, wire(every(condition("path", "eq", "/echo"), ON_BODY)))
    shop = in_force(make_shop())
    assert shop.same(post("/ignore", ATTACK)).status == 200  # `same` compares how much was taken, too
    assert shop.same(post("/first", ATTACK * 2)).status == 200
    assert shop.serve(post("/echo", ATTACK)).status == 403
