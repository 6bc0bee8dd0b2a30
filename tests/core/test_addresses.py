"""The client's address: the peer, or what trusted proxies say, and never what anybody else claims."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.addresses import (
    Proxies,
    bare,
    in_ranges,
    network_of,
    normalise,
    pack,
    parse_network,
    parse_networks,
)
from metlo_otel.core.request import EnvironRequest
from metlo_otel.core.settings import read_settings
from tests.blocking.exchanges import KINDS, exchange


def found(proxies: Proxies, peer: str, *headers: tuple[str, str], kind: str = "asgi") -> str:
    return proxies.client(exchange(headers=headers, peer=peer, kind=kind).request)


TRUSTED = Proxies.parse(["10.0.0.0/8", "::1", "unix"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7", "203.0.113.1", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.9, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 10.0.0.2,10.0.0.3", "203.0.113.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("10.0.0.1", "203.0.113.1:4711", "203.0.113.1"),
        ("10.0.0.1", "[2001:db8::0:1]:443", "2001:db8::1"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "::ffff:203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, ", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1, <script>, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::ffff:192.0.2.7", "203.0.113.1", "192.0.2.7"),
        ("::1", "203.0.113.1", "203.0.113.1"),
        ("", "203.0.113.1", "203.0.113.1"),
    ],
)
def test_x_forwarded_for(kind: str, peer: str, forwarded: str, expected: str) -> None:
    """The right-most entry that is no trusted proxy, where the peer is one; else the peer."""
    assert found(TRUSTED, peer, ("X-Forwarded-For", forwarded), kind=kind) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=203.0.113.1", "203.0.113.1"),
        ("for=198.51.100.9, for=203.0.113.1;proto=https;by=10.0.0.1", "203.0.113.1"),
        ('For="[2001:db8::1]:4711"', "2001:db8::1"),
        ('proto=http; for="203.0.113.1:80", for=10.0.0.5', "203.0.113.1"),
        ('for=203.0.113.1;host="a,b;for=1.1.1.1"', "203.0.113.1"),
        ("for=203.0.113.1, for=_hidden", "10.0.0.1"),
        ("for=203.0.113.1, for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_forwarded(forwarded: str, expected: str) -> None:
    """RFC 7239's header is read where it is the one that the proxy tells addresses in."""
    assert found(replace(TRUSTED, header="forwarded"), "10.0.0.1", ("Forwarded", forwarded)) == expected


HEADERS = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", HEADERS)
def test_one_header_is_believed(named: str, kind: str) -> None:
    """Only the header that the user names tells the client; what a client sends in any other is nobody's word."""
    settings = read_settings(
        {"api_key": "k", "host": "http://127.0.0.1", "trusted_proxies": ["10.0.0.0/8"], "trusted_proxy_header": named},
        {},
    )
    told = [(name, ("for=" if name == "Forwarded" else "") + f"203.0.113.{n}") for n, name in enumerate(HEADERS, 1)]
    others = [pair for pair in told if pair[0] != named]
    expected = f"203.0.113.{HEADERS.index(named) + 1}"
    assert found(settings.trusted_proxies, "10.0.0.1", *told, kind=kind) == expected
    assert found(settings.trusted_proxies, "10.0.0.1", *others, kind=kind) == "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [
        ("192.0.2.1", 64, "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"),
        ("2001:db8::1", 128, "2001:db8::1"),
        ("", 64, ""),
        ("not:an:address", 64, "not:an:address"),
    ],
)
def test_network_of(address: str, bits: int, network: str) -> None:
    """A client of IPv6 is counted by its network, one of IPv4 by its address."""
    assert network_of(address, bits) == network


def test_repeated_headers_are_one_list() -> None:
    """A proxy that adds a header instead of appending to it is understood; another header adds nothing."""
    headers = [("X-Forwarded-For", "198.51.100.9"), ("X-Forwarded-For", "203.0.113.1")]
    assert found(TRUSTED, "10.0.0.1", *headers, ("Forwarded", "for=192.0.2.9")) == "203.0.113.1"


def test_networks_of_the_settings() -> None:
    """Networks that were parsed already are taken as their texts are."""
    assert parse_networks([ip_network("10.0.0.0/8")]) == parse_networks(["10.0.0.0/8"])
    assert found(Proxies.parse([ip_network("10.0.0.0/8")]), "10.0.0.1", ("X-Forwarded-For", "192.0.2.9")) == "192.0.2.9"


def test_nobody_is_trusted_by_default() -> None:
    """Without trusted proxies a forwarded address is nobody's word."""
    assert found(Proxies(), "192.0.2.7", ("X-Forwarded-For", "203.0.113.1")) == "192.0.2.7"
    assert found(Proxies(), "", ("X-Forwarded-For", "203.0.113.1")) == ""
    assert found(Proxies.parse(["10.0.0.0/8"]), "", ("X-Forwarded-For", "203.0.113.1")) == ""


def test_a_very_long_list_is_bounded() -> None:
    """Of thousands of entries only the nearest are walked."""
    assert found(TRUSTED, "10.0.0.1", ("X-Forwarded-For", "203.0.113.1," + "10.0.0.2," * 5000)) == "10.0.0.2"


@given(st.text(), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_any_header_gives_an_address(text: str, name: str) -> None:
    """Whatever a client sends, the answer is an address."""
    proxies = replace(TRUSTED, header=name.lower())
    assert pack(found(proxies, "10.0.0.1", (name, "for=" * (name == "Forwarded") + text))) is not None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:80 ", "192.0.2.1"),
        ("[::1]:80", "::1"),
        ('"[::1]"', "::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_bare(text: str, address: str) -> None:
    """Ports, brackets and quotes are stripped."""
    assert bare(text) == address


@given(st.ip_addresses())
def test_normalise(address: Any) -> None:
    """Each address has one spelling, which stays as it is."""
    exploded = normalise(address.exploded)
    assert exploded == normalise(str(address)) == normalise(exploded)


@given(st.ip_addresses(), st.integers(0, 128))
def test_ranges_as_the_standard_library(address: Any, prefix: int) -> None:
    """An address is in every range around it, whatever its host bits, and not in the neighbouring one."""
    prefix = min(prefix, address.max_prefixlen)
    if address.version == 6 and address.ipv4_mapped:
        return
    assert in_ranges(str(address), [parse_network(f"{address}/{prefix}")])
    if prefix:
        other = type(address)(int(address) ^ (1 << (address.max_prefixlen - prefix)))
        assert not in_ranges(str(other), [parse_network(f"{address}/{prefix}")])


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.0/33", "host", "::1/129", "10.0.0.0/8/8"])
def test_wrong_ranges(text: str) -> None:
    """What is no range is an error that shows it."""
    with pytest.raises(ValueError, match=r"does not appear|Only one|Empty|Address"):
        parse_network(text)


def test_mapped_ranges_are_ipv4() -> None:
    """A range written as IPv4-mapped IPv6 holds IPv4 addresses; text that is no address is in no range."""
    assert in_ranges("10.1.2.3", [parse_network("::ffff:10.0.0.0/104")])
    assert not in_ranges("unix:", [parse_network("0.0.0.0/0"), parse_network("::/0")])


def test_hostile_forwarded_takes_no_time() -> None:
    """A quote without an end, or many, does not make the header be read again and again."""
    for value in ('"' + '\\"' * 20_000, 'for="' * 10_000, "for=" * 10_000):
        began = time.process_time()
        Proxies.parse(["127.0.0.1"]).client(EnvironRequest({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": value}))
        assert time.process_time() - began < 0.5
