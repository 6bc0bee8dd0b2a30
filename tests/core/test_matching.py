"""Patterns run in linear time, by RE2 or by the automaton, with the same answers."""

from __future__ import annotations

import json
import re
import time
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
from metlo_otel.core import patterns
from metlo_otel.core.matching import Matcher, build_matcher
from metlo_otel.core.patterns import PatternError, parse_pattern
from tests.profiles import examples
from tests.shared import SHARED, needs_shared

pytest.importorskip("re2", reason="the speed extra is not installed")

CLASSES = [
    "\\d",
    "\\w",
    "\\s",
    "\\S",
    "\\W",
    ".",
    "[ab]",
    "[^a]",
    "[a-c0-9]",
    "[\\s\\d]",
    "[^\\w]",
    "(?i:[a-c])",
    "(?s:.)",
]
EDGES = ["^", "$", "\\b", "\\A", "\\Z", "(?m:^)", "(?m:$)"]
ATOMS = st.sampled_from([*"abA1- éſ", "(?i:k)", *CLASSES, *EDGES])
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "{0}"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        st.tuples(inner, REPEATS).map(lambda both: f"(?:{both[0]}){both[1]}"),
    ),
    max_leaves=8,
)
TEXTS = st.text(st.sampled_from("abAkKſé10 -_\n\v\t\r.\ud800\U0001f600\x85"), max_size=12)


def both(patterns: list[str]) -> tuple[Matcher, Matcher]:
    nodes = [parse_pattern(pattern) for pattern in patterns]
    return build_matcher(nodes, speed=True), build_matcher(nodes, speed=False)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=5))
def test_engines_agree(patterns: list[str], texts: list[str]) -> None:
    """For any patterns and texts, RE2 and the automaton find the same, one by one and all at once."""
    fast, plain = both(patterns)
    wanted = [plain.match(text) for text in texts]
    assert [fast.match(text) for text in texts] == wanted
    hits = [(index, found) for index, found in enumerate(wanted) if found]
    assert fast.match_all(texts) == hits
    assert plain.match_all(texts) == hits


@settings(max_examples=examples(400), deadline=None)
@given(PATTERNS.filter(lambda pattern: "$" not in pattern and "s" not in pattern.lower()), TEXTS)
def test_automaton_agrees_with_re(pattern: str, text: str) -> None:
    """The automaton finds what the standard library finds, where both mean the same by a pattern."""
    text = text.replace("\ud800", "").replace("\v", "")
    found = re.search(pattern, text, re.ASCII) is not None
    assert bool(both([pattern])[1].match(text)) == found


@cache
def backends() -> tuple[Matcher, Matcher]:
    assert SHARED is not None
    listed = json.loads((SHARED / "contract/default_data_classes.json").read_text("utf-8"))
    return both([each["regex"] for each in listed if each.get("regex")])


LIKELY = st.text(st.sampled_from('0123456789abezABE@.-+, ()[]:"\\/\n<_=ik'), max_size=40)
SEEDS = ["bob@example.com", "4111 1111 1111 1111", "123-45-6789", "+1 415-555-2671", "10.0.0.1", "529.982.247-25"]


@needs_shared
@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.one_of(LIKELY, st.tuples(LIKELY, st.sampled_from(SEEDS), LIKELY).map("".join)), min_size=1, max_size=6)
)
def test_engines_agree_on_the_backends_list(texts: list[str]) -> None:
    """The backend's default patterns find the same with both engines in texts that come close to them."""
    fast, plain = backends()
    assert fast.match_all(texts) == plain.match_all(texts)


@cache
def built_in() -> tuple[Matcher, Matcher]:
    return both([each.regex for each in BUILTIN_CLASSES if each.regex])


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.one_of(LIKELY, st.tuples(LIKELY, st.sampled_from(SEEDS), LIKELY).map("".join)), min_size=1, max_size=6)
)
def test_engines_agree_on_the_builtin_list(texts: list[str]) -> None:
    """The built-in patterns find the same with both engines."""
    fast, plain = built_in()
    assert fast.match_all(texts) == plain.match_all(texts)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-reference"),
        ("(a)?(?(1)b|c)", "condition"),
        (r"a\Bb", "no word boundary"),
        ("a{1001}", "1000"),
        ("(?:a{40}){40}", "1000"),
        ("(?:" * 100 + "a" + ")*" * 100, "deep"),
        ("(" * 20_000, "not a regular expression"),
        ("[[:alpha:]]", "nested set"),
        ("(unclosed", "not a regular expression"),
        ("(?:abcdefghij){900}", "too large"),
    ],
)
def test_unsupported_patterns_are_refused(pattern: str, why: str) -> None:
    """A pattern that cannot run in linear time or is too large is refused with the reason."""
    with pytest.raises(PatternError, match=why):
        parse_pattern(pattern)


HOSTILE = [
    (r"(a+)+$", "a" * 5000 + "!"),
    (r"(a|a)*b", "a" * 5000),
    (r"(a|aa)+$", "a" * 5000 + "!"),
    (r"(.*)(.*)(.*)(.*)(.*)x$", "y" * 5000),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000),
    (r"(\w+\s?)*\$", "word " * 1000),
]


@pytest.mark.parametrize("speed", [True, False], ids=["re2", "automaton"])
@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_can_hang(pattern: str, text: str, speed: bool) -> None:
    """Patterns that take a backtracking engine centuries are done at once by both engines."""
    matcher = build_matcher([parse_pattern(pattern)], speed=speed)
    started = time.process_time()
    matcher.match(text)
    assert time.process_time() - started < 1.0


def test_states_stay_bounded() -> None:
    """A pattern with more states than are kept gives the same answers as RE2 while they are thrown away."""
    fast, plain = both(["[01]*1[01]{14}2"])
    bits = "".join(format(number, "016b") for number in range(300))
    for text in (bits + "2", bits + "1" + "0" * 14 + "2", bits + "0" * 15 + "2"):
        assert plain.match(text) == fast.match(text)
    states: Any = plain._match.__self__._states  # type: ignore[attr-defined]  # what is kept is what is tested
    assert len(states) <= 2000


SETS = st.text("[]^-&~|ab\\", min_size=1, max_size=9)


@given(SETS)
def test_sets_that_engines_read_otherwise(pattern: str) -> None:
    """Refused is what Python warns of, in a set and nowhere else, with nobody's warnings listened to."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            re.compile(pattern)
            odd = False
        except FutureWarning:
            odd = True
        except re.error:
            return
    try:
        parse_pattern(pattern)
        refused = ""
    except PatternError as problem:
        refused = str(problem)
    assert ("nested set" in refused) == odd, refused


def test_an_apps_own_warnings_stay_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filters of warnings, which are the whole process's, are as they were while a pattern is read."""
    seen: list[Any] = []

    def parse(pattern: str) -> Any:
        seen.append(list(warnings.filters))
        return reader.parse(pattern)

    reader = patterns._reader
    monkeypatch.setattr(patterns, "_reader", SimpleNamespace(parse=parse))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = list(warnings.filters)
        parse_pattern("(?:a|b)[0-9]")
    assert seen == [before]
