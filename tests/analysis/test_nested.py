"""Values inside values: an attack is found two levels deep, whatever holds it, and holding alone is no sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from metlo_otel.analysis.attacks import detect
from metlo_otel.analysis.inspection import texts_of
from metlo_otel.analysis.nested import leaves
from metlo_otel.reading.fields import read_request
from tests.analysis.records import message, record

SHELL = ";cat /etc/passwd"
WAYS: dict[str, Callable[[str], str]] = {
    "json": lambda value: json.dumps({"a": 1, "b": [{"c": value}]}),
    "json behind blanks": lambda value: "\n  " + json.dumps([value]),
    "json in json": lambda value: json.dumps({"a": json.dumps({"b": value})}),
    "query of a url": lambda value: f"https://shop.example/a/b?x=1&y={quote(value, safe='')}",
    "form": lambda value: f"x=1&y={quote(value, safe='')}&z=3",
    "url in json": lambda value: json.dumps({"next": f"/a?b={quote(value, safe='')}"}),
    "xml text": lambda value: f"<r><a>1</a><b>{value.replace('&', '&amp;')}</b></r>",
    "xml attribute": lambda value: f'<r><a id="{value}"/></r>',
    "cdata": lambda value: f"<r><![CDATA[{value}]]></r>",
    "graphql literal": lambda value: f'query {{ user(name: "{value}") {{ id }} }}',
    "base64 in xml": lambda value: f"<r>{base64.b64encode(value.encode()).decode()}</r>",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_holds_a_value_does_not_hide_it(way: str) -> None:
    """A command is found in each kind of text that holds values, under the key of the field that was sent."""
    found = detect([("reqBody.a", WAYS[way](SHELL))])
    assert "COMMAND_EXECUTION" in {each.category for each in found["reqBody.a"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", ["Maria & sons", "red shoes; blue shoes", "O'Brien", "5 < 6 = true"])
def test_what_holds_ordinary_values_is_ordinary(way: str, value: str) -> None:
    """Ordinary values stay ordinary, whatever holds them."""
    if way == "xml attribute" or "<" not in value:
        assert detect([("reqBody.a", WAYS[way](value))]) == {}


def test_levels_are_bounded() -> None:
    """Two levels are read below a value, not three, and of many values the first."""
    value = "'deep'"
    for _ in range(3):
        value = json.dumps({"a": value})
    assert "'deep'" not in list(leaves(value))
    assert len(list(leaves(json.dumps(["abc" + str(number) for number in range(1000)])))) == 64


def test_segments_of_a_path() -> None:
    """Each segment is a value, also one in base64."""
    hidden = base64.urlsafe_b64encode(b"\r\nRCPT TO: <a@b.example>").decode().rstrip("=")
    assert "MAIL_INJECTION" in {each.category for each in detect([("reqPath", f"/a/{hidden}")])["reqPath"]}
    assert detect([("reqPath", "/a/YWxsIGlzIHdlbGwgaGVyZQ")]) == {}


def test_what_a_query_tears_apart() -> None:
    """What is no pair at all is read as it was sent, signs of equality and all."""
    raw = "%3Csvg%20onload%3D%22alert(1)%22%3E&x=1"
    sent = record(method="GET", raw_query=raw, query=(('<svg onload="alert(1)">', ""), ("x", "1")))
    assert ("reqQuery", '<svg onload="alert(1)">&x=1') in list(texts_of(sent, read_request(sent)))


def test_ordinary_queries_are_not_read_twice() -> None:
    """Where all names are names, pairs are all that there is."""
    sent = record(method="GET", raw_query="a=1&b=2", query=(("a", "1"), ("b", "2")))
    assert "reqQuery" not in {key for key, _ in texts_of(sent, read_request(sent))}


@pytest.mark.parametrize("length", [600, 5_000, 16_000, 64_000, 128_000])
@pytest.mark.parametrize("between", ["", " ", "'"])
def test_padding_hides_nothing(length: int, between: str) -> None:
    """An attack behind padding, in a field of its own or in the same one, is found."""
    attack = "<script>alert(1)</script>"
    assert "XSS" in {each.category for each in detect([("reqBody.a", "A" * length + between + attack)])["reqBody.a"]}
    found = detect([("reqBody.a", "A" * length), ("reqBody.b", "../../../../etc/passwd")])
    assert [each.category for each in found["reqBody.b"]][:1] == ["DIRECTORY_TRAVERSAL"]


def test_padding_alone_is_nothing() -> None:
    """Letters again and again are no attack."""
    sent = record(message("a=" + "A" * 50_000, "application/x-www-form-urlencoded"))
    assert detect(texts_of(sent, read_request(sent))) == {}
