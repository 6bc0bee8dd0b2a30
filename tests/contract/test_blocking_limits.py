"""Rate limits on every way in: what counts, who is blocked, and by what they are told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, either, every, wire_limit
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Call, get, header_of
from tests.contract.shop import Shop

IGNORE = condition("path", "eq", "/ignore")
AUTHENTICATION = {"host": "shop.example", "authType": "header", "headerKey": "X-Auth"}
MakeLimited = Callable[..., Shop]


@pytest.fixture
def make_limited(make_shop: MakeShop, collector: MemoryCollector) -> MakeLimited:
    """Makes shops under limits that their collector serves."""

    def make(*rules: dict[str, Any], **options: Any) -> Shop:
        collector.config = {**FULL, "authenticationConfig": [AUTHENTICATION], "wafConfig": list(rules)}
        given = {"GET_USER": lambda request: header_of(request, "X-Who"), "RATE_LIMIT_STORAGE": "memory"}
        return in_force(make_shop(**{**given, **options}))

    return make


def statuses(shop: Shop, *calls: Call) -> list[int]:
    return [shop.serve(call).status for call in calls]


def test_exactly_the_threshold_passes(make_limited: MakeLimited) -> None:
    """Exactly `threshold` matching requests pass; others are neither counted nor blocked, whoever sends them."""
    shop = make_limited(wire_limit(3, every(IGNORE), by=["ip"]))
    calls = [get("/ignore"), get("/login")] * 5
    assert statuses(shop, *calls) == [200, 200] * 3 + [429, 200] * 2
    assert statuses(shop, get("/ignore", client=("192.0.2.1", 1))) == [200]
    assert SCRIPT.events == ["ignored"] * 4
    blocked = [trace for trace in shop.sent() if trace["processedTraceData"]["block"]]
    assert [trace["response"]["status"] for trace in blocked] == [429, 429]


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("ip", get("/ignore", ("X-Who", "eve")), get("/ignore", client=("192.0.2.1", 1))),
        ("user", get("/ignore", ("X-Who", "bob"), client=("192.0.2.1", 1)), get("/ignore", ("X-Who", "eve"))),
        ("session", get("/ignore", ("X-Auth", "s"), client=("192.0.2.1", 1)), get("/ignore", ("X-Auth", "t"))),
    ],
)
def test_identifiers(make_limited: MakeLimited, by: str, same: Call, other: Call) -> None:
    """Counters are kept by address, user or session key, and clients that differ in it have their own."""
    shop = make_limited(wire_limit(1, every(IGNORE), by=[by]))
    first = get("/ignore", ("X-Who", "bob"), ("X-Auth", "s"))
    assert statuses(shop, first, same, other) == [200, 429, 200]


def test_no_identifier_is_one_counter(make_limited: MakeLimited) -> None:
    """Without identifiers all clients share one counter."""
    shop = make_limited(wire_limit(2, every(IGNORE), by=None))
    calls = [get("/ignore", client=(f"192.0.2.{number}", 1)) for number in range(3)]
    assert statuses(shop, *calls) == [200, 200, 429]


@pytest.mark.parametrize(
    ("test", "counted", "free"),
    [
        (condition("status_code", "eq", 401), 401, 403),
        (condition("status_code", "nt_eq", "200"), 404, 200),
        (condition("status_code", "gt", 399), 400, 302),
        (condition("status_code", "lt", 300), 202, 302),
    ],
    ids=["eq", "nt_eq", "gt", "lt"],
)
def test_status_codes(make_limited: MakeLimited, test: dict[str, Any], counted: int, free: int) -> None:
    """A limit on answers counts those with the status; over it, the client's matching requests are blocked."""
    shop = make_limited(wire_limit(2, every(condition("path", "startswith", "/status/"), test), by=["ip"]))

    def ask(*codes: int) -> list[int]:
        return statuses(shop, *[get(f"/status/{code}") for code in codes])

    assert ask(free, free, free, counted, counted) == [free, free, free, counted, counted]
    assert ask(free, counted) == [429, 429]
    assert statuses(shop, get("/users/7")) == [200]


def test_status_or_path(make_limited: MakeLimited) -> None:
    """In a `one` group either is enough, and each request is counted once."""
    shop = make_limited(wire_limit(2, either(IGNORE, condition("status_code", "eq", 404)), by=["ip"]))
    assert statuses(shop, *[get("/ignore"), get("/status/404"), get("/ignore")]) == [200, 404, 429]


def test_shared_by_default(make_limited: MakeLimited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents of one key, as the workers of a server are, share their counts unless told otherwise."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    limit = wire_limit(3, every(IGNORE), by=["ip"])
    first, second = (make_limited(limit, RATE_LIMIT_STORAGE=None, MAX_BODY=size) for size in (64, 65))
    assert first.agent is not second.agent
    assert statuses(first, *[get("/ignore")] * 2) == [200, 200]
    assert statuses(second, *[get("/ignore")] * 2) == [200, 429]
    assert statuses(first, get("/ignore")) == [429]
