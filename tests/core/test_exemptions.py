"""Where findings do not count: how that is said, and what is refused, whoever says it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from metlo_otel.core.agent_config import parse_agent_config
from metlo_otel.core.exemptions import Exemption, Exemptions, parse_exemption, parse_exemptions
from metlo_otel.core.settings import SettingsError, read_settings


def test_how_it_is_said() -> None:
    """As text, as objects and as values, several at once."""
    expected = (Exemption("/posts/{id}", "reqBody.text", "SQLI"), Exemption("*", "reqHeaders.X-Query", "*"))
    assert parse_exemptions("/posts/{id} reqBody.text sqli, * reqHeaders.X-Query *") == expected
    assert (
        parse_exemptions([{"path": "/posts/{id}", "field": "reqBody.text", "category": "SQLI"}, expected[1]])
        == expected
    )
    assert parse_exemptions("") == ()


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("/posts reqBody.text", "path, field and category are expected"),
        ("/posts reqBody.text SQL", "category is * or one of SQLI"),
        ("posts reqBody.text SQLI", "path begins with / or is *"),
        ("* * SQLI", "there is DETECTION"),
        ("/*a*b*c* reqBody SQLI", "at most one star"),
        ({"path": "/", "place": "x"}, "path, field and category"),
        (5, "path, field and category"),
    ],
)
def test_what_is_refused(item: Any, told: str) -> None:
    """Every door says the same: settings, and what a backend serves, whose other parts stay in force."""
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_exemption(item)
    with pytest.raises(SettingsError, match=r"DETECTION_EXCEPT|detection_except"):
        read_settings({"api_key": "k", "host": "http://127.0.0.1", "detection_except": [item]}, {})
    warned: list[str] = []
    good = {"path": "/a", "field": "*", "category": "*"}
    config = parse_agent_config({"detectionExcept": [item, good]}, warned.append)
    assert config.exemptions == (Exemption("/a"),)
    assert "detectionExcept" in warned[0]


def test_long_texts_take_no_time() -> None:
    """Whatever is asked of whatever path, the answer is there at once."""
    known = Exemptions([Exemption("/{a}-{b}-{c}-{d}/*-x", "reqBody.*.x", "*")])
    began = time.process_time()
    for path in ("/" + "-" * 1000, "/a-" + "b-" * 400 + "/" + "-" * 100, "/" + "-" * 100_000):
        known.cover(path, "reqBody." + "x." * 400, "XSS")
    assert time.process_time() - began < 0.5
    assert known.cover("/1-2-3-4/5-x", "reqBody.a.x", "XSS")


def test_parameters_and_stars() -> None:
    """`{name}` is one segment, `*` anything, and everything else is itself."""
    known = Exemptions([Exemption("/a/{id}", "reqBody.*", "XSS"), Exemption("/files/*", "reqPath", "*")])
    assert known.cover("/a/5", "reqBody.x.y", "XSS")
    assert known.cover("/a/5/", "reqBody.x", "XSS")
    assert known.cover("/files/a/b", "reqPath", "SENSITIVE_FILE")
    assert not known.cover("/a/5/6", "reqBody.x", "XSS")
    assert not known.cover("/a/5", "reqBody", "XSS")
    assert not known.cover("/a/5", "reqBody.x", "SQLI")
    assert not known.cover("/filesystem", "reqPath", "XSS")
