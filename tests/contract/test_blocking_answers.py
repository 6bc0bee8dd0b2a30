"""What a rejected client gets: the default answer, or the app's own; and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.wrappers import Response as WerkzeugResponse

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit, wire_tag
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Answer, Call, get, header_of, post
from tests.contract.shop import Shop, skip_unless, told
from tests.contract.ways import Way

Reject = Callable[[Any], Any]

IGNORE = every(condition("path", "eq", "/ignore"))
CONFIG = {**FULL, "wafConfig": [wire(IGNORE, uuid="no-ignore"), wire_tag("visited")]}
JSON, HTML, PLAIN = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"


@pytest.fixture
def refusing(make_shop: MakeShop, collector: MemoryCollector) -> Callable[..., Shop]:
    """Makes shops that refuse `/ignore`."""
    collector.config = CONFIG

    def make(**options: Any) -> Shop:
        return in_force(make_shop(**options))

    return make


def test_the_default_answer(refusing: Callable[..., Shop], way: Way) -> None:
    """403 in JSON; the view does not run; one full trace tells request and answer, `block` and the tags."""
    shop = refusing()
    call = post("/ignore?a=1", b"never read", "text/plain", ("X-A", "b"))
    answer = shop.serve(call)
    assert (answer.status, answer.body) == (403, b'{"error": "forbidden"}')
    assert (answer.header("content-type"), answer.header("content-length")) == ([JSON], ["22"])
    assert answer.header("cache-control") == ["no-store"]
    assert answer.consumed == (10 if way.is_async and way.name.startswith("django") else 0)  # Django reads it first
    assert SCRIPT.events == []
    (trace,) = shop.sent()
    route = "/ignore" if way.name == "flask" else None  # elsewhere it is decided before there is a route
    found = {**trace, "request": {**trace["request"], "headers": None}, "response": {**trace["response"]}}
    assert (found["request"]["url"].get("endpointPath"), found["response"]["status"]) == (route, 403)
    assert found["response"]["body"] == '{"error": "forbidden"}'
    expected = told(way, call, answer, route=route, read=b"", ruleId="no-ignore")
    assert trace["meta"].items() >= {**expected["meta"], "requestBodyTruncated": True}.items()
    data = trace["processedTraceData"]
    assert (data["block"], data["requestTags"], trace["analysisType"]) == (True, ["visited"], "full")
    assert shop.agent.stats().blocked == 1


def test_a_tagged_request_passes(refusing: Callable[..., Shop]) -> None:
    """A tag rule puts its tag on the trace and nothing else happens."""
    shop = refusing()
    _, trace = shop.exchange(get("/users/7"))
    data = trace["processedTraceData"]
    assert (data["block"], data["requestTags"]) == (False, ["visited"])


@pytest.mark.parametrize(
    ("accept", "kind", "body"),
    [
        ("application/json", JSON, b'{"error": "forbidden"}'),
        ("application/problem+json, text/html", JSON, b'{"error": "forbidden"}'),
        ("text/html,application/xhtml+xml,*/*;q=0.8", HTML, b"<h1>Forbidden</h1>"),
        ("text/plain", PLAIN, b"Forbidden"),
        ("*/*", JSON, b'{"error": "forbidden"}'),
        ("nonsense;;,", JSON, b'{"error": "forbidden"}'),
    ],
)
def test_the_default_answer_by_accept(refusing: Callable[..., Shop], accept: str, kind: str, body: bytes) -> None:
    """JSON, HTML or plain text, as the client asks."""
    answer = refusing().serve(get("/ignore", ("Accept", accept)))
    assert (answer.status, answer.header("content-type")) == (403, [kind])
    assert body in answer.body
    assert answer.header("content-length") == [str(len(answer.body))]


def test_head(refusing: Callable[..., Shop]) -> None:
    """HEAD gets what GET gets, but for the body."""
    shop = refusing()
    head, whole = shop.serve(Call("HEAD", "/ignore")), shop.serve(get("/ignore"))
    assert (head.status, head.body, head.headers) == (403, b"", whole.headers)


def test_a_limit_answers_429(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """Who is over a limit gets 429 with Retry-After in seconds."""
    collector.config = {**FULL, "wafConfig": [wire_limit(2, IGNORE, seconds=90, by=["ip"])]}
    shop = in_force(make_shop(RATE_LIMIT_STORAGE="memory"))
    answers = [shop.serve(get("/ignore", ("Accept", accept))) for accept in ("*/*", "*/*", "*/*", "text/html")]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[2].body == b'{"error": "too many requests"}'
    assert b"<h1>Too many requests</h1>" in answers[3].body
    assert answers[2].header("retry-after") == ["90"]
    assert 88 <= int(answers[3].header("retry-after")[0]) <= 90
    assert SCRIPT.events == ["ignored"] * 2


def own_answer(way: Way, status: int, body: bytes, **headers: str) -> Any:
    """An answer of the framework's own, as REJECT_RESPONSE gives it on this way in."""
    if way.name == "flask":
        return body, status, headers
    if way.name == "wsgi":
        return WerkzeugResponse(body, status, headers)
    if way.name.startswith("django"):
        from django.http import HttpResponse

        return HttpResponse(body, status=status, headers=headers)
    from starlette.responses import Response

    return Response(body, status, headers)


def is_own(answer: Answer) -> bool:
    return (answer.status, answer.body, answer.header("X-Why")) == (418, b"no tea for 203.0.113.9", ["rules"])


def test_reject_response(refusing: Callable[..., Shop], way: Way) -> None:
    """REJECT_RESPONSE is given the framework's own request, and what it makes is sent, and told."""

    def reject(request: Any) -> Any:
        SCRIPT.asked.append(header_of(request, "X-A"))
        return own_answer(way, 418, b"no tea for 203.0.113.9", **{"X-Why": "rules"})

    shop = refusing(REJECT_RESPONSE=reject)
    assert is_own(shop.serve(get("/ignore", ("X-A", "b"))))
    assert shop.same(get("/users/7")).status == 200
    assert (SCRIPT.asked, SCRIPT.events) == (["b"], [])
    blocked = [trace for trace in shop.sent() if trace["processedTraceData"]["block"]]
    assert [trace["response"]["status"] for trace in blocked] == [418]
    assert blocked[0]["response"]["body"] == "no tea for 203.0.113.9"


def test_async_reject_response(refusing: Callable[..., Shop], way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """It may be async where the framework is; elsewhere that is said, and the default answer sent."""

    async def reject(request: Any) -> Any:
        return own_answer(way, 418, b"no tea for 203.0.113.9", **{"X-Why": "rules"})

    answer = refusing(REJECT_RESPONSE=reject).serve(get("/ignore"))
    if way.is_async:
        assert is_own(answer)
    else:
        assert answer.status == 403
        assert "REJECT_RESPONSE is async, but this app is not; the default answer is sent" in caplog.text
    assert SCRIPT.events == []


def raising(request: Any) -> Any:
    raise LookupError("a secret")


async def raising_later(request: Any) -> Any:
    raise LookupError("a secret")


def broken_app(*_: Any) -> Any:
    raise LookupError("a secret")


WRONG: dict[str, Reject] = {
    "raises": raising,
    "nothing": lambda request: None,
    "number": lambda request: 403,
    "object": lambda request: object(),
    "wrong-arity": lambda request: lambda: None,
    "app-that-raises": lambda request: broken_app,
}


@pytest.mark.parametrize("reject", WRONG.values(), ids=WRONG)
def test_a_wrong_reject_response(
    refusing: Callable[..., Shop], reject: Reject, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails, or gives what cannot be sent, still rejects, with the default answer, and is logged."""
    caplog.set_level(logging.ERROR, logger="metlo_otel")
    shop = refusing(REJECT_RESPONSE=reject)
    answer = shop.serve(get("/ignore"))
    assert (answer.status, answer.body, answer.raised) == (403, b'{"error": "forbidden"}', None)
    assert SCRIPT.events == []
    assert "REJECT_RESPONSE" in caplog.text or "reject_response" in caplog.text
    assert "a secret" not in caplog.text
    (trace,) = shop.sent()
    assert (trace["processedTraceData"]["block"], trace["response"]["status"]) == (True, 403)


def test_a_wrong_async_reject_response(
    refusing: Callable[..., Shop], way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    """An async one that raises when it is awaited rejects too."""
    skip_unless(way.is_async, "nothing can be awaited under WSGI")
    answer = refusing(REJECT_RESPONSE=raising_later).serve(get("/ignore"))
    assert (answer.status, SCRIPT.events) == (403, [])
    assert "raising_later failed with LookupError" in caplog.text
    assert "a secret" not in caplog.text
