"""A body that is not there at the beginning is decided on as the app reads it: no client evades rules by waiting."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit, wire_tag
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Call, header_of
from tests.contract.shop import Shop, skip_unless
from tests.contract.test_blocking_answers import own_answer
from tests.contract.test_bodies import FORM, MULTIPART, UPLOAD
from tests.contract.ways import Way

ATTACK = b"<script>alert(1)</script>"
WAITS = ("Expect", "100-continue")
TEXT = ("Content-Type", "text/plain")
ON_BODY = condition("request_body", "contains", "alert(1)")
MakeRuled = Callable[..., Shop]


@pytest.fixture
def make_ruled(make_shop: MakeShop, collector: MemoryCollector) -> MakeRuled:
    """Makes shops under rules that their collector serves, by default one that looks for the attack in bodies."""

    def make(*rules: dict[str, Any], **options: Any) -> Shop:
        collector.config = {**FULL, "wafConfig": list(rules) or [wire(every(ON_BODY), uuid="on-body")]}
        return in_force(make_shop(RATE_LIMIT_STORAGE="memory", **options))

    return make


def late(path: str, *pieces: bytes, kind: str = "text/plain", chunked: bool = False) -> Call:
    return Call("POST", path, (("Content-Type", kind), WAITS), pieces, chunked=chunked)


READ = {
    "whole": late("/echo", ATTACK),
    "by read(n)": late("/raw", b"a" * 20 + ATTACK + b"a" * 20),
    "by lines": late("/lines", b"one\n" + ATTACK + b"\nthree\n"),
    "json": late("/json", b'{"a": ["' + ATTACK + b'"]}', kind="application/json"),
    "form": late("/form", b"a=1&b=alert(1)", kind=FORM),
    "multipart": late("/upload", UPLOAD.replace(b"hello", ATTACK), kind=MULTIPART),
    "in pieces": late("/echo", b"it is <scr", b"ipt>ale", b"rt(1)", b"</script>"),
    "in chunks": late("/echo", b"it is <scr", b"ipt>ale", b"rt(1)", b"</script>", chunked=True),
    "read(n) of chunks": late("/raw", b"it is <scr", b"ipt>ale", b"rt(1)</script>", chunked=True),
    "the first bytes alone": late("/first", b"alert(1) and more"),
}


@pytest.mark.parametrize("name", READ)
def test_a_body_that_is_asked_for(make_ruled: MakeRuled, way: Way, name: str) -> None:
    """However an app reads: it gets no body with the attack, its client 403, and the trace tells of both."""
    call = READ[name]
    skip_unless(not (way.name == "django-wsgi" and call.chunked), "Django takes a WSGI body without a length for empty")
    shop = make_ruled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Werkzeug leaves the file of an upload that breaks off open
        answer = shop.serve(call)
        gc.collect()
    assert (answer.status, answer.body, answer.raised) == (403, b'{"error": "forbidden"}', None)
    assert SCRIPT.events == []
    (trace,) = shop.sent()
    assert (trace["processedTraceData"]["block"], trace["meta"]["ruleId"]) == (True, "on-body")
    assert (trace["response"]["status"], trace["meta"].get("incomplete")) == (403, None)
    assert shop.agent.stats().blocked == 1


@pytest.mark.parametrize("name", ["whole", "by lines", "json", "in pieces"])
def test_an_attack_that_is_asked_for(make_ruled: MakeRuled, name: str) -> None:
    """DETECTION="block" finds it too, whatever the pieces."""
    shop = make_ruled(wire_tag("seen"), DETECTION="block")
    assert shop.serve(READ[name]).status == 403
    assert SCRIPT.events == []
    (trace,) = shop.sent()
    assert trace["processedTraceData"]["requestTags"] == ["seen"]
    assert trace["meta"]["ruleId"] == "detection:XSS"


HARMLESS = [
    late("/echo", b"harmless"),
    late("/raw", b"a" * 40_000),
    late("/lines", b"one\ntwo\n" * 3),
    late("/json", b'{"a": 1}', kind="application/json"),
    late("/form", b"a=1&b=2", kind=FORM),
    late("/upload", UPLOAD, kind=MULTIPART),
    late("/raw", b"one ", b"two ", b"", b"three", chunked=True),
    late("/echo"),
]


@pytest.mark.parametrize("call", HARMLESS, ids=range(len(HARMLESS)))
def test_a_harmless_body_is_as_without_us(make_ruled: MakeRuled, call: Call) -> None:
    """Every byte, in the pieces in which it came; all of it was looked at, and that is told."""
    shop = make_ruled(DETECTION="block")
    _, trace = shop.exchange(call)
    assert trace["processedTraceData"]["block"] is False
    assert "incomplete" not in trace["meta"]


def test_an_app_that_does_not_read(make_ruled: MakeRuled, way: Way) -> None:
    """It answers as without us, and the trace says that nobody has looked at the body."""
    skip_unless(not (way.is_async and way.name.startswith("django")), "Django reads it first")
    shop = make_ruled()
    _, trace = shop.exchange(late("/ignore", ATTACK))
    assert trace["meta"]["incomplete"] == ["expect_continue"]


def test_limits_count_once(make_ruled: MakeRuled) -> None:
    """A limit is counted by one of the two decisions; one that looks at bodies by the second."""
    shop = make_ruled(
        wire_limit(2, every(condition("path", "eq", "/echo")), uuid="all", by=["ip"]),
        wire(every(ON_BODY), uuid="on-body"),
    )
    assert [shop.serve(late("/echo", b"harmless")).status for _ in range(3)] == [200, 200, 429]


def test_limits_on_bodies_count_once(make_ruled: MakeRuled) -> None:
    """However many parts a body has."""
    shop = make_ruled(wire_limit(2, every(condition("request_body", "contains", "harmless")), uuid="bodies", by=["ip"]))
    calls = [late("/echo", b"it is ", b"harm", b"less", b"!")] * 3
    assert [shop.serve(call).status for call in calls] == [200, 200, 429]


def test_tags_of_both(make_ruled: MakeRuled) -> None:
    """Rules on bodies and others put their tags on the one trace."""
    shop = make_ruled(wire_tag("all"), wire_tag("bodies", every(condition("request_body", "contains", "harmless"))))
    _, trace = shop.exchange(late("/echo", b"harm", b"less"))
    assert trace["processedTraceData"]["requestTags"] == ["all", "bodies"]


def test_a_rule_on_a_whole_value(make_ruled: MakeRuled) -> None:
    """A rule that a beginning fits and the whole does not lets the whole pass."""
    shop = make_ruled(wire(every(condition("request_body", "eq", "n=1")), uuid="one"))
    assert shop.same(late("/echo", b"n=1", b"00", kind=FORM)).status == 200
    assert shop.serve(late("/echo", b"n=", b"1", kind=FORM)).status == 403


def test_monitor_mode(make_ruled: MakeRuled) -> None:
    """Nothing is rejected, and the trace says what would have been."""
    shop = make_ruled(DETECTION="block", MODE="monitor")
    _, trace = shop.exchange(late("/echo", ATTACK))
    assert (trace["processedTraceData"]["block"], trace["meta"]["ruleId"]) == (False, "on-body")


def test_an_answer_and_a_user_of_the_app(make_ruled: MakeRuled, way: Way) -> None:
    """REJECT_RESPONSE answers, and a rule on a user and a body asks GET_USER, as with a body that was there."""
    rule = wire(every(ON_BODY, condition("user", "eq", "ada")), uuid="on-ada")
    shop = make_ruled(
        rule,
        GET_USER=lambda request: header_of(request, "X-Who"),
        REJECT_RESPONSE=lambda _: own_answer(way, 418, b"no tea"),
    )
    call = late("/echo", ATTACK)
    assert shop.same(call).status == 200
    answer = shop.serve(Call("POST", "/echo", (*call.headers, ("X-Who", "ada")), call.pieces))
    assert (answer.status, answer.body) == (418, b"no tea")


def test_what_lies_beyond_the_bound(make_ruled: MakeRuled) -> None:
    """A rule sees MAX_INSPECT bytes, late as ever; OVERSIZE="block" rejects what has more."""
    shop = make_ruled(MAX_BODY=100, MAX_INSPECT=100)
    assert shop.same(late("/echo", b"x" * 100, ATTACK)).status == 200
    assert shop.serve(late("/echo", b"x" * 20, ATTACK + b"x" * 100)).status == 403


def test_what_can_never_be_inspected(make_ruled: MakeRuled, way: Way) -> None:
    """OVERSIZE="block" rejects a body that is longer than what is inspected when that is known, and no other."""
    shop = make_ruled(MAX_BODY=100, MAX_INSPECT=100, OVERSIZE="block")
    assert shop.serve(late("/echo", b"x" * 60, b"x" * 60)).status == 403
    (trace,) = shop.sent()
    assert (trace["meta"]["ruleId"], trace["meta"]["incomplete"]) == ("oversize", ["body_size"])
    assert shop.same(late("/echo", b"x" * 50, b"x" * 49)).status == 200
    if not (way.is_async and way.name.startswith("django")):  # which reads every body itself
        assert shop.same(late("/ignore", b"x" * 200)).status == 200
