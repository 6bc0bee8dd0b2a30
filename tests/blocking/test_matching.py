"""Each sentence of the contract on which requests a rule matches, for WSGI and ASGI requests."""

from __future__ import annotations

from typing import Any

import pytest

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.vocabulary import operators_of
from metlo_otel.core.exchange import Exchange
from tests.blocking.exchanges import KINDS, NOW, client, condition, either, every, exchange, parsed, wire

pytestmark = pytest.mark.parametrize("kind", KINDS)


def blocks(item: dict[str, Any], made: Exchange, **who: str | None) -> bool:
    """The answer, alone and among so many other rules that the index decides."""
    others = [wire(every(condition("path", "eq", f"/never/{n}")), uuid=f"o{n}") for n in range(20)]
    alone = Policy(parsed(item)).decide(made, client(**who), NOW).blocked
    indexed = Policy(parsed(*others, item)).decide(made, client(**who), NOW).blocked
    assert alone == indexed
    return alone


HOLDS = {
    "eq": ("abc", "abc", "ab"),
    "contains": ("abc", "b", "x"),
    "startswith": ("abc", "ab", "bc"),
    "endswith": ("abc", "bc", "ab"),
}


@pytest.mark.parametrize("operator", HOLDS)
@pytest.mark.parametrize("field", ["request_header", "request_parameter", "request_body", "method", "user"])
def test_operators(kind: str, field: str, operator: str) -> None:
    """eq, contains, startswith, endswith and their nt_ opposites, on fields of every sort."""
    text, yes, no = HOLDS[operator]
    made = exchange(text, f"/?p={text}", [("X-A", text)], text.encode(), kind=kind)
    key = {"request_header": "X-A", "request_parameter": "p"}.get(field)
    for value, held in ((yes, True), (no, False)):
        assert blocks(wire(every(condition(field, operator, value, key))), made, user=text) is held
        assert blocks(wire(every(condition(field, "nt_" + operator, value, key))), made, user=text) is not held


@pytest.mark.parametrize("operator", HOLDS)
def test_operators_are_case_sensitive(kind: str, operator: str) -> None:
    """Values are compared with their case."""
    text, yes, _ = HOLDS[operator]
    made = exchange("GET", "/", [("X-A", text)], kind=kind)
    assert not blocks(wire(every(condition("request_header", operator, yes.upper(), "X-A"))), made)


@pytest.mark.parametrize(
    ("operator", "value", "path", "held"),
    [
        ("eq", "/admin", "/admin", True),
        ("eq", "/admin", "/admin/", True),
        ("eq", "/admin/", "/admin", True),
        ("eq", "/admin", "/admin/x", False),
        ("eq", "/", "/", True),
        ("eq", "/", "/x", False),
        ("nt_eq", "/admin", "/admin/", False),
        ("nt_eq", "/admin/", "/admin", False),
        ("startswith", "/adm", "/admin/", True),
        ("startswith", "/admin/", "/admin", True),
        ("startswith", "/admin/", "/administrator", False),
        ("startswith", "/", "/", True),
        ("endswith", "/list", "/users/list/", True),
        ("endswith", "/list/", "/users/list", True),
        ("endswith", "list", "/users/lists", False),
        ("contains", "/b", "/a/b/c", True),
        ("contains", "b/", "/a/b", True),
        ("contains", "d", "/a/b", False),
        ("nt_startswith", "/admin/", "/admin", False),
        ("nt_contains", "d", "/a/b/", True),
        ("nt_endswith", "b", "/a/b/", False),
    ],
)
def test_path_and_its_trailing_slash(kind: str, operator: str, value: str, path: str, held: bool) -> None:
    """The path's trailing slash is ignored, in the request and in the rule."""
    assert blocks(wire(every(condition("path", operator, value))), exchange("GET", path, kind=kind)) is held


def test_path_is_decoded(kind: str) -> None:
    """A percent-encoded path is the path it means."""
    made = exchange("GET", "/%61dmin/caf%C3%A9?x=/other", kind=kind)
    assert blocks(wire(every(condition("path", "eq", "/admin/café"))), made)
    assert not blocks(wire(every(condition("path", "contains", "other"))), made)


def test_header_name_in_any_case(kind: str) -> None:
    """request_header's key is case-insensitive."""
    made = exchange("GET", "/", [("X-Test", "evil")], kind=kind)
    for key in ("X-Test", "x-test", "X-TEST"):
        assert blocks(wire(every(condition("request_header", "eq", "evil", key))), made)
    assert not blocks(wire(every(condition("request_header", "eq", "evil", "X-Tes"))), made)


def test_parameters_are_decoded(kind: str) -> None:
    """request_parameter sees decoded names and values; a name without `=` has the empty value."""
    made = exchange("GET", "/?a%20b=%3Cscript%3E&plus=1+2&debug", kind=kind)
    assert blocks(wire(every(condition("request_parameter", "eq", "<script>", "a b"))), made)
    assert blocks(wire(every(condition("request_parameter", "eq", "1 2", "plus"))), made)
    assert blocks(wire(every(condition("request_parameter", "eq", "", "debug"))), made)
    assert not blocks(wire(every(condition("request_parameter", "eq", "", "DEBUG"))), made)


def test_any_value_of_a_repeated_parameter(kind: str) -> None:
    """Any value of a repeated parameter may match, also a negated condition."""
    made = exchange("GET", "/?a=1&a=2", kind=kind)
    for operator, value, held in (
        ("eq", "1", True),
        ("eq", "2", True),
        ("eq", "3", False),
        ("nt_eq", "1", True),
    ):
        assert blocks(wire(every(condition("request_parameter", operator, value, "a"))), made) is held


def test_any_value_of_a_repeated_header(kind: str) -> None:
    """Any value of a repeated header may match (a WSGI server has joined them into one)."""
    made = exchange("GET", "/", [("X-A", "one"), ("X-A", "two")], kind=kind)
    for value in ("one", "two"):
        assert blocks(wire(every(condition("request_header", "contains", value, "X-A"))), made)
    if kind == "asgi":
        assert blocks(wire(every(condition("request_header", "eq", "two", "X-A"))), made)
        assert blocks(wire(every(condition("request_header", "nt_eq", "one", "X-A"))), made)


@pytest.mark.parametrize("operator", operators_of("path"))
@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("request_header", "X-None"),
        ("request_parameter", "none"),
        ("request_body", None),
        ("ip_address", None),
        ("user", None),
        ("unique_session_key", None),
    ],
)
def test_a_missing_value_never_matches(kind: str, field: str, key: str | None, operator: str) -> None:
    """What is not there matches nothing, not even nt_*."""
    made = exchange("GET", "/", peer="", kind=kind)
    for nobody in (None, ""):
        item = wire(every(condition(field, operator, "x", key)))
        assert not blocks(item, made, ip=nobody, user=nobody, session=nobody)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"role": "admin"}', '"role": "admin"'),
        ("grüße".encode(), "grüße"),
        (b"\xff\x00binary", "binary"),
        (b"\x1f\x8b\x08gzip", "gzip"),
    ],
)
def test_body(kind: str, body: bytes, value: str) -> None:
    """request_body is the body's bytes as text, whatever they are."""
    made = exchange("POST", "/", body=body, kind=kind)
    assert blocks(wire(every(condition("request_body", "contains", value))), made)
    assert not blocks(wire(every(condition("request_body", "contains", "nothing of it"))), made)


@pytest.mark.parametrize(
    ("operator", "value", "ip", "held"),
    [
        ("eq", "192.0.2.1", "192.0.2.1", True),
        ("eq", "::ffff:192.0.2.1", "192.0.2.1", True),
        ("eq", "2001:db8:0::1", "2001:db8::1", True),
        ("eq", "192.0.2.0/24", "192.0.2.77", True),
        ("eq", "192.0.2.0/24", "192.0.3.77", False),
        ("eq", "192.0.2.9/24", "192.0.2.77", True),
        ("eq", "2001:db8::/32", "2001:db8:1::5", True),
        ("eq", "2001:db8::/32", "192.0.2.1", False),
        ("eq", "0.0.0.0/0", "2001:db8::1", False),
        ("nt_eq", "192.0.2.0/24", "192.0.3.77", True),
        ("nt_eq", "192.0.2.0/24", "192.0.2.77", False),
        ("nt_eq", "192.0.2.0/24", "2001:db8::1", True),
        ("nt_eq", "192.0.2.0/24", "unix", False),
        ("startswith", "192.0.", "192.0.3.77", True),
        ("nt_startswith", "192.0.", "10.0.3.77", True),
    ],
)
def test_ip_address(kind: str, operator: str, value: str, ip: str, held: bool) -> None:
    """ip_address compares addresses, whatever their spelling, and ranges."""
    made = exchange(kind=kind)
    assert blocks(wire(every(condition("ip_address", operator, value))), made, ip=ip) is held


def test_user_and_session(kind: str) -> None:
    """user and unique_session_key compare what the client brings."""
    made = exchange(kind=kind)
    assert blocks(wire(every(condition("user", "eq", "bob"))), made, user="bob")
    assert blocks(wire(every(condition("unique_session_key", "startswith", "k"))), made, session="key")
    assert not blocks(wire(every(condition("user", "eq", "bob"))), made, user="alice")


def test_groups(kind: str) -> None:
    """All groups must match; in a group all or one of the conditions."""
    yes, no = condition("method", "eq", "GET"), condition("method", "eq", "PUT")
    made = exchange(kind=kind)
    cases = [
        ([every(yes, yes)], True),
        ([every(yes, no)], False),
        ([either(no, yes)], True),
        ([either(no, no)], False),
        ([every(yes), either(no, yes)], True),
        ([every(yes), either(no)], False),
        ([every(no), either(yes)], False),
    ]
    for groups, held in cases:
        assert blocks(wire(*groups), made) is held


def test_empty_groups(kind: str) -> None:
    """An empty `all` group matches, an empty `one` group does not, and no groups at all match."""
    made = exchange(kind=kind)
    assert blocks(wire(every()), made)
    assert not blocks(wire(either()), made)
    assert blocks(wire(), made)


def test_end_time(kind: str) -> None:
    """A rule ends at blockEndTime, milliseconds since the epoch; null and none mean for ever."""
    made = exchange(kind=kind)
    assert blocks(wire(ends=None), made)
    assert blocks(wire(ends=NOW * 1000 + 1), made)
    assert not blocks(wire(ends=NOW * 1000), made)
    assert not blocks(wire(ends=0), made)
    item = wire()
    item["action"] = {"actionType": "block"}
    assert blocks(item, made)
