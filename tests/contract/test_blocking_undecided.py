"""A rule that cannot be decided says so, once, and limits count afterwards where they can."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Call, get, header_of
from tests.contract.shop import Shop
from tests.contract.ways import Way

UNIX = ("", None)
LOGIN = get("/login")


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="metlo_otel")


def under(make_shop: MakeShop, collector: MemoryCollector, *rules: dict[str, Any], **options: Any) -> Shop:
    collector.config = {**FULL, "wafConfig": list(rules)}
    return in_force(make_shop(**{"RATE_LIMIT_STORAGE": "memory", **options}))


def statuses(shop: Shop, *calls: Call) -> list[int]:
    return [shop.serve(call).status for call in calls]


def warnings(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("conditions", [(), (condition("user", "eq", "u7"),)])
def test_user_known_after_the_view(
    make_shop: MakeShop, way: Way, collector: MemoryCollector, caplog: pytest.LogCaptureFixture, conditions: Any
) -> None:
    """Who is known only after the view is counted then, so that the limit holds where the user is known before."""
    limit = wire_limit(2, every(condition("path", "eq", "/login"), *conditions), by=["user"])
    shop = under(
        make_shop, collector, limit, GET_USER=lambda request: header_of(request, "X-Who") or way.user_of(request)
    )
    known = get("/login", ("X-Who", "u7"))
    assert statuses(shop, LOGIN, LOGIN) == [200, 200]
    assert statuses(shop, known) == [429]
    assert statuses(shop, get("/login", ("X-Who", "eve"))) == [200]
    assert warnings(caplog, "'limit' ask for the user, who is known only after your view") == 1


def test_counted_once(make_shop: MakeShop, collector: MemoryCollector, caplog: pytest.LogCaptureFixture) -> None:
    """Who is known before the view is counted then, and not again when the request is answered."""
    limit = wire_limit(2, every(condition("path", "eq", "/login")), by=["user"])
    shop = under(make_shop, collector, limit, GET_USER=lambda request: header_of(request, "X-Who"))
    known = get("/login", ("X-Who", "u7"))
    assert statuses(shop, known, known, known) == [200, 200, 429]
    assert warnings(caplog, "cannot be decided") == 0


def test_no_get_user(make_shop: MakeShop, collector: MemoryCollector, caplog: pytest.LogCaptureFixture) -> None:
    """A rule for a user is told of where nobody says who the user is."""
    shop = under(make_shop, collector, wire(every(condition("user", "eq", "bob")), uuid="no-bob"), GET_USER=None)
    assert statuses(shop, LOGIN, LOGIN) == [200, 200]
    assert warnings(caplog, "'no-bob' ask for the user, but there is no GET_USER") == 1


RULES = [wire_limit(1, by=["ip"], uuid="by-ip"), wire(every(condition("ip_address", "eq", "192.0.2.9")), uuid="by-ip")]


@pytest.mark.parametrize("rule", RULES, ids=["limit", "block"])
@pytest.mark.parametrize(("trusted", "told"), [([], "Add `unix` to TRUSTED_PROXIES"), (["unix"], "sent no x-real-ip")])
def test_no_address(
    make_shop: MakeShop,
    collector: MemoryCollector,
    caplog: pytest.LogCaptureFixture,
    rule: dict[str, Any],
    trusted: list[str],
    told: str,
) -> None:
    """A rule for addresses is told of behind a Unix socket, where there are none; not where the proxy tells them."""
    options = {"TRUSTED_PROXIES": trusted, "TRUSTED_PROXY_HEADER": "X-Real-IP"}
    shop = under(make_shop, collector, rule, **options)
    if trusted:
        assert statuses(shop, get("/login", ("X-Real-IP", "192.0.2.1"), client=UNIX)) == [200]
        assert warnings(caplog, "cannot be decided") == 0
    assert statuses(shop, *[get("/login", client=UNIX)] * 3) == [200] * 3
    assert warnings(caplog, "'by-ip' ask for the client's address") == 1
    assert warnings(caplog, told) == 1


@pytest.mark.parametrize(
    ("trusted", "headers", "count"),
    [
        ([], (("X-Forwarded-For", "192.0.2.1"),), 1),
        ([], (("Forwarded", "for=192.0.2.1"),), 1),
        ([], (), 0),
        (["203.0.113.0/24"], (("X-Forwarded-For", "203.0.113.8"),), 0),
    ],
)
def test_allowed_proxy(
    make_shop: MakeShop,
    collector: MemoryCollector,
    caplog: pytest.LogCaptureFixture,
    trusted: list[str],
    headers: Any,
    count: int,
) -> None:
    """An allowed address that forwards for others, whose word is not taken, is told of: it opens the door to all."""
    options = {"ALLOWED_IPS": ["203.0.113.0/24"], "TRUSTED_PROXIES": trusted}
    shop = under(make_shop, collector, wire(every(condition("path", "eq", "/login"))), **options)
    assert statuses(shop, *[get("/login", *headers)] * 2) == [200, 200]
    assert warnings(caplog, "ALLOWED_IPS holds 203.0.113.9, which forwards requests of others") == count


@pytest.mark.parametrize(("prefix", "status"), [(64, 429), (128, 200)])
def test_ipv6_clients_count_by_network(
    make_shop: MakeShop, collector: MemoryCollector, prefix: int, status: int
) -> None:
    """Who has a network of IPv6 addresses has one counter."""
    shop = under(make_shop, collector, wire_limit(1, by=["ip"]), CLIENT_IPV6_PREFIX=prefix)
    first, second = (get("/login", client=(f"2001:db8::{number}", 1)) for number in (1, 2))
    assert statuses(shop, first, second) == [200, status]
    assert statuses(shop, get("/login", client=("2001:db8:0:1::1", 1))) == [200]
