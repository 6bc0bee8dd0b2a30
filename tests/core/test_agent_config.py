"""Patterns from outside: searched for in linear time, and named and left out where that cannot be."""

from __future__ import annotations

import time

import pytest

from metlo_otel.core.agent_config import AgentConfig, parse_agent_config
from metlo_otel.core.hosts import bare_host
from metlo_otel.core.matching import Patterns
from metlo_otel.core.settings import SettingsError, read_settings

REQUIRED = {"api_key": "k", "host": "http://127.0.0.1"}
EVIL = r"(\w+\s?)+$|^(a+)+$|(.*a){12}x"
BROKEN = ["(", r"(?=a)b", r"(a)\1", "a{2000}", 7]


def test_broken_patterns_are_named_and_left_out() -> None:
    """Wherever a pattern stands, a wrong one is told of by its place, and those beside it hold."""
    told: list[str] = []
    document = {
        "hostMap": [{"host": "mapped", "pattern": pattern} for pattern in (*BROKEN, "^shop")],
        "hostBlockList": [*BROKEN, "^secret"],
        "pathBlockList": [{"host": ".*", "paths": [*BROKEN, "^/ign"]}, {"host": "(", "paths": ["x"]}],
    }
    config = parse_agent_config(document, told.append)
    assert config.map_host("shop.example") == "mapped"
    assert config.map_host("other.example") == "other.example"
    assert config.blocked_hosts == Patterns(["^secret"])
    assert [entry.paths for entry in config.blocked_paths] == [Patterns(["^/ign"])]
    for name in ("hostMap", "hostBlockList", "paths"):
        assert sum(f"{name}[{index}]" in text for index in range(len(BROKEN)) for text in told) == len(BROKEN)
    assert any("pathBlockList[1]" in text for text in told)


@pytest.mark.parametrize("pattern", BROKEN[:-1])
def test_excluded_urls_that_are_broken(pattern: str) -> None:
    """A pattern of one's own that cannot be searched for is a setting that is wrong."""
    with pytest.raises(SettingsError, match="EXCLUDED_URLS"):
        read_settings({**REQUIRED, "EXCLUDED_URLS": [pattern]}, environ={})


def test_no_text_makes_a_pattern_slow() -> None:
    """A path of 16,000 characters, on which Python's engine would not end in our time, is looked at in no time."""
    path = "/" + "a" * 16_000 + "!"
    config: AgentConfig = parse_agent_config(
        {
            "hostMap": [{"host": "x", "pattern": EVIL}],
            "hostBlockList": [EVIL],
            "pathBlockList": [{"host": ".*", "paths": [EVIL]}],
        },
        pytest.fail,
    )
    excluded = read_settings({**REQUIRED, "EXCLUDED_URLS": [EVIL]}, environ={}).excluded_urls
    began = time.perf_counter()
    assert not config.blocked_paths[0].paths.found(path)
    assert not config.blocked_hosts.found(path)
    assert config.map_host(path) == "x", "of a host so long only the beginning is looked at"
    assert not excluded.found(path)
    assert time.perf_counter() - began < 2


def test_patterns_are_values() -> None:
    """Settings are compared by their values, patterns too."""
    assert Patterns(["a"]) == Patterns(["a"]) != Patterns(["b"])
    assert hash(Patterns(["a"])) == hash(Patterns(["a"]))
    assert not Patterns()
    assert list(Patterns(["b$", "a", "c"]).found("ab")) == [0, 1]


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("http://shop.example:8000", "shop.example:8000"),
        ("HTTPS://shop.example/", "shop.example"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("::1", "::1"),
        ("[::1]:80", "[::1]:80"),
        ("http-shop.example", "http-shop.example"),
        ("http://", "http://"),
    ],
)
def test_hosts_as_senders_write_them(written: str, host: str) -> None:
    """A scheme is no part of a host's name, nor is the IPv6 that Node puts around an IPv4 address."""
    assert bare_host(written) == host


@pytest.mark.parametrize("scheme", ["http://", "^https?://", r"^http:\/\/", "^(http|https)://", "(?:http|https)://"])
def test_patterns_for_hosts_may_have_a_scheme(scheme: str) -> None:
    """Host maps and block lists that were written for hosts with a scheme are about the same hosts."""
    document = {
        "hostMap": [{"host": "http://mapped.example", "pattern": scheme + r"shop\.example$"}],
        "hostBlockList": [scheme + "hidden"],
    }
    config = parse_agent_config(document, lambda _problem: None)
    assert config.map_host("shop.example") == "mapped.example"
    assert config.map_host("myshop.example") == "myshop.example"
    assert config.blocked_hosts.found("hidden.example")
