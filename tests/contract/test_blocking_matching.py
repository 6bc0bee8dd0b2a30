"""Each sentence of the contract on which requests a rule matches, from the served agent-config to the answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, either, every, wire
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, in_force
from tests.contract.http import Call, get, header_of, post
from tests.contract.shop import Shop
from tests.contract.ways import Way

SECRET = "Bearer s3cret"
SESSION = base64.b64encode(hmac.new(b"hmac-secret", SECRET.encode(), hashlib.sha256).digest()).decode()
FORBIDDEN = b'{"error": "forbidden"}'
KEYS = {"request_header": "X-A", "request_parameter": "p"}
TEXT = "text/plain"

Group = dict[str, Any]


class Case(NamedTuple):
    """A rule's groups, a request, and whether the one matches the other."""

    name: str
    groups: list[Group]
    call: Call
    matches: bool
    ends: float | None = None


def is_(field: str, operator: str, value: Any, key: str | None = None) -> Group:
    return every(condition(field, operator, value, key or KEYS.get(field)))


def operators() -> Iterator[Case]:
    """Every operator on every field of text, with its opposite, and with a value in the other case."""
    holds = {"eq": ("aBc", "aB"), "contains": ("B", "x"), "startswith": ("aB", "Bc"), "endswith": ("Bc", "aB")}
    call = post("/echo?p=aBc", b"aBc", TEXT, ("X-A", "aBc"), ("X-Who", "aBc"))
    for field in ("request_header", "request_parameter", "request_body", "user"):
        for operator, (yes, no) in holds.items():
            yield Case(f"{field}-{operator}", [is_(field, operator, yes)], call, True)
            yield Case(f"{field}-{operator}-not", [is_(field, operator, no)], call, False)
            yield Case(f"{field}-nt_{operator}", [is_(field, "nt_" + operator, no)], call, True)
            yield Case(f"{field}-nt_{operator}-not", [is_(field, "nt_" + operator, yes)], call, False)
            yield Case(f"{field}-{operator}-case", [is_(field, operator, yes.swapcase())], call, False)


def paths() -> Iterator[Case]:
    """The path is decoded, and its trailing slash ignored, in the request and in the rule."""
    told = (
        ("eq", "/admin", "/admin/", True),
        ("eq", "/admin/", "/admin", True),
        ("eq", "/", "/", True),
        ("eq", "/admin", "/admin/x", False),
        ("nt_eq", "/admin", "/admin/", False),
        ("startswith", "/admin/", "/admin", True),
        ("startswith", "/admin/", "/administrator", False),
        ("endswith", "/list/", "/users/list", True),
        ("endswith", "/list", "/users/lists", False),
        ("contains", "/b", "/a/b/c", True),
        ("nt_contains", "d", "/a/b/", True),
        ("nt_startswith", "/admin", "/admin/", False),
        ("nt_endswith", "b", "/a/b/", False),
        ("eq", "/admin/café", "/%61dmin/caf%C3%A9?x=/other", True),
        ("contains", "other", "/admin?x=/other", False),
    )
    for number, (operator, value, target, matches) in enumerate(told):
        yield Case(f"path-{operator}-{number}", [is_("path", operator, value)], get(target), matches)


def names() -> Iterator[Case]:
    """Header names in any case; parameter names exactly; both decoded; any of several values may match."""
    header, query = get("/echo", ("X-Test", "evil")), get("/echo?a%20b=%3Cscript%3E&plus=1+2&debug&a=1&a=2")
    twice = get("/echo", ("X-A", "one"), ("X-A", "two"))
    for key in ("X-Test", "x-test", "X-TEST"):
        yield Case(f"header-{key}", [is_("request_header", "eq", "evil", key)], header, True)
    yield Case("header-other", [is_("request_header", "eq", "evil", "X-Tes")], header, False)
    for value in ("one", "two"):
        yield Case(f"header-repeated-{value}", [is_("request_header", "contains", value)], twice, True)
    for key, operator, value, matches in (
        ("a b", "eq", "<script>", True),
        ("plus", "eq", "1 2", True),
        ("debug", "eq", "", True),
        ("DEBUG", "eq", "", False),
        ("a", "eq", "1", True),
        ("a", "eq", "2", True),
        ("a", "eq", "3", False),
        ("a", "nt_eq", "1", True),
    ):
        yield Case(
            f"parameter-{key}-{operator}-{value}", [is_("request_parameter", operator, value, key)], query, matches
        )


def missing() -> Iterator[Case]:
    """What is not there matches nothing, not even nt_*."""
    call = get("/echo", client=("", None))
    for field in ("request_header", "request_parameter", "request_body", "user", "ip_address", "unique_session_key"):
        for operator in ("eq", "nt_eq", "nt_contains", "nt_startswith", "nt_endswith"):
            yield Case(f"missing-{field}-{operator}", [is_(field, operator, "x")], call, False)


def clients() -> Iterator[Case]:
    """Method, address (in any spelling, and ranges), user and session key."""
    call = get("/echo", ("X-Auth", SECRET), ("X-Who", "bob"))
    mapped = get("/echo", client=("::ffff:203.0.113.9", 50412))
    v6 = get("/echo", client=("2001:db8::9", 50412))
    for name, made, group, matches in (
        ("method", call, is_("method", "eq", "GET"), True),
        ("method-case", call, is_("method", "eq", "get"), True),
        ("method-other", call, is_("method", "nt_eq", "GET"), False),
        ("ip", call, is_("ip_address", "eq", "203.0.113.9"), True),
        ("ip-other", call, is_("ip_address", "eq", "203.0.113.90"), False),
        ("ip-range", call, is_("ip_address", "eq", "203.0.113.0/24"), True),
        ("ip-range-other", call, is_("ip_address", "eq", "203.0.114.0/24"), False),
        ("ip-range-not", call, is_("ip_address", "nt_eq", "203.0.113.0/24"), False),
        ("ip-begins", call, is_("ip_address", "startswith", "203.0."), True),
        ("ip-mapped", mapped, is_("ip_address", "eq", "203.0.113.9"), True),
        ("ip-mapped-rule", call, is_("ip_address", "eq", "::ffff:203.0.113.9"), True),
        ("ip-6", v6, is_("ip_address", "eq", "2001:DB8:0::9"), True),
        ("ip-6-range", v6, is_("ip_address", "eq", "2001:db8::/32"), True),
        ("ip-forwarded", get("/echo", ("X-Forwarded-For", "10.1.1.1")), is_("ip_address", "eq", "10.1.1.1"), False),
        ("user", call, is_("user", "eq", "bob"), True),
        ("user-other", call, is_("user", "eq", "alice"), False),
        ("session", call, is_("unique_session_key", "eq", SESSION), True),
        ("session-other", get("/echo", ("X-Auth", "other")), is_("unique_session_key", "eq", SESSION), False),
    ):
        yield Case(name, [group], made, matches)


def groups() -> Iterator[Case]:
    """All groups must match; in a group all or one of the conditions; empty groups; end times."""
    yes, no = condition("method", "eq", "GET"), condition("method", "eq", "PUT")
    for name, listed, matches in (
        ("all", [every(yes, yes)], True),
        ("all-but-one", [every(yes, no)], False),
        ("one", [either(no, yes)], True),
        ("none", [either(no, no)], False),
        ("two-groups", [every(yes), either(no, yes)], True),
        ("two-groups-first", [every(yes), either(no)], False),
        ("two-groups-second", [every(no), either(yes)], False),
        ("empty-all", [every()], True),
        ("empty-one", [either()], False),
        ("no-groups", [], True),
    ):
        yield Case(name, listed, get("/echo"), matches)
    now = time.time() * 1000
    yield Case("ended", [every(yes)], get("/echo"), False, ends=now - 1000)
    yield Case("ends-later", [every(yes)], get("/echo"), True, ends=now + 3_600_000)


CASES = [case for cases in (operators(), paths(), names(), missing(), clients(), groups()) for case in cases]


def rule(case: Case) -> dict[str, Any]:
    """The case's rule, for requests that name the case: all cases are in force together."""
    mark = every(condition("request_header", "eq", case.name, "X-Case"))
    return wire(mark, *case.groups, uuid=case.name, ends=case.ends)


AUTHENTICATION = {"host": "shop.example", "authType": "header", "headerKey": "X-Auth"}


@pytest.fixture(scope="session")
def ruled_shops() -> Iterator[dict[str, Shop]]:
    """A shop a way in, under the rules of all cases."""
    made: dict[str, Shop] = {}
    yield made
    for shop in made.values():
        shop.close()
        shop.collector.__exit__(None, None, None)


@pytest.fixture
def ruled(way: Way, ruled_shops: dict[str, Shop]) -> Shop:
    """The shop under these rules, which its collector serves."""
    if way.name not in ruled_shops:
        config = {**FULL, "authenticationConfig": [AUTHENTICATION], "wafConfig": [rule(case) for case in CASES]}
        shop = Shop(
            way,
            MemoryCollector(config).__enter__(),
            GET_USER=lambda request: header_of(request, "X-Who"),
            ENCRYPTION_KEY="hmac-secret",
        )
        ruled_shops[way.name] = in_force(shop)
    SCRIPT.forget()
    return ruled_shops[way.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rule(ruled: Shop, case: Case) -> None:
    """A request that a rule matches is refused; one that it does not is served as if there were no agent."""
    call = Call(
        case.call.method,
        case.call.target,
        (*case.call.headers, ("X-Case", case.name)),
        case.call.pieces,
        client=case.call.client,
    )
    if case.matches:
        answer = ruled.serve(call)
        assert (answer.status, answer.body) == (403, FORBIDDEN)
    else:
        assert ruled.same(call).status != 403
