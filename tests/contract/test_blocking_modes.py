"""Monitor mode, the allow list, the client's address behind proxies, and users that the app blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import metlo_otel
from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import Call, get, header_of
from tests.contract.shop import Shop

IGNORE = every(condition("path", "eq", "/ignore"))
IN_NET = every(condition("ip_address", "eq", "192.0.2.0/24"))
Rules = list[dict[str, Any]]
MakeRuled = Callable[..., Shop]


@pytest.fixture
def make_ruled(make_shop: MakeShop, collector: MemoryCollector) -> MakeRuled:
    """Makes shops under rules that their collector serves."""

    def make(*rules: dict[str, Any], **options: Any) -> Shop:
        collector.config = {**FULL, "wafConfig": list(rules)}
        return in_force(make_shop(RATE_LIMIT_STORAGE="memory", **options))

    return make


def statuses(shop: Shop, *calls: Call) -> list[int]:
    return [shop.serve(call).status for call in calls]


def test_monitor_mode(make_ruled: MakeRuled) -> None:
    """MODE=monitor rejects nothing: block rules, limits and blocked users are told, and the app answers as ever."""
    shop = make_ruled(wire(IGNORE, uuid="no-ignore"), wire_limit(1, uuid="slow"), MODE="monitor")
    _, trace = shop.exchange(get("/ignore"))
    assert trace["processedTraceData"]["block"] is False
    assert [shop.same(get("/users/7")).status for _ in range(3)] == [200] * 3
    assert shop.agent.stats().blocked == 0


def test_monitor_mode_of_one_rule(make_ruled: MakeRuled) -> None:
    """A rule of one's own in monitor mode rejects nothing, while the others do."""
    shop = make_ruled(
        RULES=[
            {"name": "watched", "block": True, "path": "/ignore", "mode": "monitor"},
            {"name": "watched limit", "limit": "1 per minute", "path": "/login", "mode": "monitor"},
            {"name": "real", "block": True, "path": "/named"},
        ]
    )
    assert statuses(shop, get("/ignore"), get("/login"), get("/login"), get("/named")) == [200, 200, 200, 403]


def test_allowed_addresses(make_ruled: MakeRuled) -> None:
    """ALLOWED_IPS are rejected by no rule, no limit, and not for their user; they are counted nowhere."""
    shop = make_ruled(
        wire(IGNORE),
        wire_limit(1, every(condition("path", "eq", "/login")), by=[]),
        ALLOWED_IPS=["192.0.2.0/24", "2001:db8::/32"],
        GET_USER=lambda request: "bob",
    )
    for client in (("192.0.2.5", 1), ("::ffff:192.0.2.5", 1), ("2001:db8::5", 1)):
        assert statuses(shop, *[get(path, client=client) for path in ("/ignore", "/login", "/login")]) == [200] * 3
    assert statuses(shop, get("/ignore"), get("/login"), get("/login")) == [403, 200, 429]
    metlo_otel.block_user("bob", 60)
    try:
        assert statuses(shop, get("/users/7", client=("192.0.2.5", 1)), get("/users/7")) == [200, 403]
    finally:
        metlo_otel.unblock_user("bob")


FORWARDED = [
    ("no proxy is trusted", [], "203.0.113.9", [("X-Forwarded-For", "192.0.2.7")], 200),
    ("trusted", ["203.0.113.0/24"], "203.0.113.9", [("X-Forwarded-For", "192.0.2.7")], 403),
    ("mapped peer", ["203.0.113.0/24"], "::ffff:203.0.113.9", [("X-Forwarded-For", "192.0.2.7")], 403),
    ("mapped client", ["203.0.113.9"], "203.0.113.9", [("X-Forwarded-For", "::ffff:192.0.2.7")], 403),
    ("another peer", ["203.0.113.0/24"], "198.51.100.3", [("X-Forwarded-For", "192.0.2.7")], 200),
    ("right-most", ["203.0.113.9"], "203.0.113.9", [("X-Forwarded-For", "192.0.2.7, 198.51.100.3")], 200),
    ("untrusted", ["203.0.113.9", "10.0.0.0/8"], "203.0.113.9", [("X-Forwarded-For", "192.0.2.7, 10.0.0.1")], 403),
    ("Forwarded", ["203.0.113.9"], "203.0.113.9", [("Forwarded", 'for="192.0.2.7:4711";proto=https')], 403),
    ("spoofed", ["203.0.113.9"], "203.0.113.9", [("X-Forwarded-For", "192.0.2.7, unknown")], 200),
]


@pytest.mark.parametrize(
    ("proxies", "peer", "headers", "status"), [case[1:] for case in FORWARDED], ids=[case[0] for case in FORWARDED]
)
def test_client_address(
    make_ruled: MakeRuled, proxies: list[str], peer: str, headers: list[tuple[str, str]], status: int
) -> None:
    """Rules see the address that trusted proxies tell, and nobody else's word for it."""
    named = headers[0][0] if headers else None
    shop = make_ruled(wire(IN_NET), TRUSTED_PROXIES=proxies, TRUSTED_PROXY_HEADER=named)
    assert statuses(shop, get("/ignore", *headers, client=(peer, 4711))) == [status]


def test_limits_count_by_the_forwarded_address(make_ruled: MakeRuled) -> None:
    """Behind a trusted proxy each client has its own counter."""
    shop = make_ruled(wire_limit(1, IGNORE, by=["ip"]), TRUSTED_PROXIES=["203.0.113.9"])
    calls = [get("/ignore", ("X-Forwarded-For", f"192.0.2.{number}")) for number in (1, 1, 2, 2)]
    assert statuses(shop, *calls) == [200, 429, 200, 429]


def test_block_user(make_ruled: MakeRuled) -> None:
    """The app blocks a user by the id that GET_USER gives, for a time, and lets them pass again."""
    shop = make_ruled(
        wire(every(condition("path", "eq", "/never"))), GET_USER=lambda request: header_of(request, "X-Who")
    )
    bob, eve = get("/ignore", ("X-Who", "bob")), get("/ignore", ("X-Who", "eve"))
    metlo_otel.block_user("bob", 60)
    assert statuses(shop, bob, eve, get("/ignore")) == [403, 200, 200]
    assert metlo_otel.unblock_user("bob")
    assert not metlo_otel.unblock_user("bob")
    assert statuses(shop, bob) == [200]
    assert SCRIPT.events == ["ignored"] * 3


def test_rules_hold_where_nothing_is_told(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """hostBlockList, pathBlockList and EXCLUDED_URLS keep traces from being sent; rules apply there all the same."""
    collector.config = {
        **FULL,
        "hostBlockList": ["^secret\\."],
        "pathBlockList": [{"host": ".*", "paths": ["^/ign"]}],
        "wafConfig": [
            wire(every(condition("path", "startswith", "/"), condition("request_header", "eq", "1", "X-No")))
        ],
    }
    shop = in_force(make_shop(EXCLUDED_URLS=["/login"]))
    calls = [get("/users/7", ("X-No", "1"), ("Host", "secret.example")), get("/ignore", ("X-No", "1"))]
    assert statuses(shop, *calls, get("/login", ("X-No", "1"))) == [403] * 3
    assert shop.same(get("/login")).status == 200
    assert shop.sent() == []
    assert SCRIPT.events == []
