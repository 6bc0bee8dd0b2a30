"""Whatever a value holds, the detection answers, in bounded time and with bounded findings."""

# ruff: noqa: E501 - payloads are not folded
from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.analysis import attacks
from metlo_otel.analysis.attacks import HEAD, LEAST, TAIL, TOTAL, Finding, detect, inspect
from metlo_otel.analysis.detectors.decoding import base64_text, decode, readings
from metlo_otel.core.categories import ATTACKS as CATEGORIES
from tests.analysis.attack_samples import ATTACKS

PIECES = (
    "'", '"', "`", "(", ")", "<", ">", "</", "/*", "*/", "--", "#", ";", "|", "&", "&&", "$(", "${", "{{", "}}", "{%", "<%", "../",
    "..\\", "\\", "%", "%25", "%c0%ae", "&#", "&#x41;", "\\u0041", "\\x", "0x2e", "1", ",", "+", "=", " or ", "union ", "select ",
    "(select ", "case when ", "order by ", "''", "onx=", "javascript:", "data:", "http://", "//", "[", "[]", "eval(", "alert",
    "@", "!", "\n", "\r\n", "\x00", "\ud800", "é", "＜", "İ", "$ne", '{"$', "*)(", "__schema", "<!--", "<!entity ", "<!doctype a [",
    "${lower:", ":-", "jndi:", "; cat ", "/bin/", "/etc/", ".", "{file}", "a", " ", "\t", "throw ", "$ifs", "{a,", "() { ", "<a\t",
    "<a b='", "<xml ", "expr/*", "'+'", "| a ", "|id|", "; sudo ", "\\0000", "=*)", "$a", "http:\\\\",
)  # fmt: skip
SECONDS = 0.5  # CPU time of one value; the slowest measured was 22 ms
SIGNS = string.punctuation + " \t\n\r\x00\xa0"

pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)
anything = pieces | st.text() | st.text(st.characters(max_codepoint=0x10FFFF, categories=None))


@given(anything)
def test_anything_can_be_inspected(value: str) -> None:
    """No text raises, lone surrogates and NULs included; a finding is short and of a known category."""
    for finding in inspect(value):
        assert finding.category in CATEGORIES
        assert finding.confidence in ("high", "low")
        assert len(finding.fragment) <= 80


@given(
    st.lists(st.tuples(st.sampled_from(["reqPath", "reqQuery.a", "reqBody", "reqHeaders.Cookie"]) | anything, anything))
)
def test_any_fields_can_be_detected(fields: list[tuple[str, str]]) -> None:
    """No field raises, and findings stand under keys that were given."""
    keys = {key for key, _ in fields}
    for key, findings in detect(fields).items():
        assert findings
        assert key in keys or key.removesuffix(".__schema") in keys


@given(anything)
def test_decoding_does_not_grow(value: str) -> None:
    """Decoding never raises, and no reading is longer than the compatibility forms of Unicode make it."""
    base64_text(value)
    assert decode(decode(value)) is not None
    assert all(len(text) <= 20 * len(value) for text in readings(value))


@given(st.sampled_from([payload for payloads in ATTACKS.values() for payload in payloads]), anything)
def test_attacks_within_anything(payload: str, around: str) -> None:
    """Attacks cut and glued together with anything do not raise either."""
    for text in (payload + around, around + payload, payload[: len(payload) // 2] + around):
        assert isinstance(inspect(text), tuple)


@pytest.mark.parametrize("piece", PIECES)
def test_repetition_costs_no_more(piece: str) -> None:
    """No repeated piece makes a pattern backtrack: a full window is read in bounded CPU time."""
    for start in ("", "1' ", "<a "):
        value = start + (piece * (HEAD + TAIL))[: HEAD + TAIL - 10]
        begun = time.process_time()
        inspect(value)
        assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("piece", ["lorem ipsum ", "'", "<a ", "%27", "../"])
def test_a_megabyte_costs_a_window(piece: str) -> None:
    """Of a long value so many windows are read, and no more."""
    value = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    inspect(value)
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("sign", SIGNS)
def test_a_run_of_signs_costs_no_more(sign: str) -> None:
    """No run of one sign or of two in turn, with any sign before or behind it, makes a pattern backtrack."""
    run = sign * 5000
    for other in SIGNS:
        for value in (run + other, other + run, (sign + other) * 2500):
            begun = time.process_time()
            inspect(value)
            assert time.process_time() - begun < SECONDS, (value[:2], value[-2:])


@pytest.mark.parametrize("digits", ["0" * 4400 + "60", "9" * 4400])
def test_numbers_of_thousands_of_digits(digits: str) -> None:
    """A character's number that Python refuses to read hides nothing: HTML reads it."""
    for reference in (f"&#{digits};", f"&#{digits}"):
        assert decode(reference) == ("<" if digits.startswith("0") else "\ufffd")
        assert [found.category for found in inspect(f"<a title='{reference}' onclick=alert(1)>")] == ["XSS"]


def test_of_a_request_a_total_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the total only the beginning of each value is read, where an attack is still found."""
    attack = "<script>alert(1)</script>"
    many = [(f"reqBody.a{number}", f"{number} ".ljust(HEAD + TAIL, "<")) for number in range(60)]
    last = [("reqBody.first", attack + "x" * 5000), ("reqBody.last", "x" * LEAST + attack)]
    assert set(detect([*many, *last])) == {"reqBody.first"}
    assert set(detect(last)) == {"reqBody.first", "reqBody.last"}
    read: list[int] = []

    def note(value: str, _is_over: object) -> tuple[Finding, ...]:
        read.append(len(value))
        return ()

    monkeypatch.setattr(attacks, "inspect", note)
    detect([*many, *last])
    assert len(read) == 63  # and the text between tags
    assert sum(read) <= TOTAL + 63 * LEAST
