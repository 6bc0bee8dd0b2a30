"""What is done to strangers' text and to numbers before a page shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.dashboard.bodies import LONGEST, Marks, show_body
from metlo_otel.collector.dashboard.charts import HEIGHT, WIDTH, draw, draw_spread, nice_top
from metlo_otel.collector.dashboard.rendering import duration, query, short_number, size
from metlo_otel.collector.dashboard.text import json_text, pieces, visible
from metlo_otel.collector.dashboard.tracing import tracing_link
from metlo_otel.core.histogram import histogram

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


def shown(text: str, marks: Marks | None = None) -> str:
    return "".join(piece.text for piece in show_body(text, "reqBody", marks or Marks()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, äöü, 漢字\t\n", "plain, äöü, 漢字\t\n"),
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("user\u202ecod.exe", "user\\u202ecod.exe"),
        ("pay\u200bpal", "pay\\u200bpal"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_invisible_is_shown(text: str, expected: str) -> None:
    """Controls, zero-width and turning characters are escapes, all else stays."""
    assert visible(text) == expected
    assert "".join(piece.text for piece in pieces(text)) == expected


@given(st.text(max_size=200), st.lists(st.text(max_size=5), max_size=3))
def test_pieces_are_the_text(text: str, fragments: list[str]) -> None:
    """Cut into pieces in any way, the pieces are the text as it is shown, and hits are fragments of it."""
    found = pieces(text, fragments)
    assert "".join(piece.text for piece in found) == visible(text)
    for piece in found:
        if piece.kind == "hit":
            assert any(piece.text.lower() in visible(fragment).lower() for fragment in fragments) or not piece.text


@given(json_values)
def test_json_stays_what_it_says(value: Any) -> None:
    """As a text to be edited it is the same value, and as a body any value can be shown."""
    assert json.loads(json_text(value)) == value
    assert shown(json.dumps(value))


def test_numbers_and_repeated_keys_stay() -> None:
    """A body is shown as it was sent: 1.50 is not 1.5, big numbers keep their digits, keys may repeat."""
    body = '{"a": 1.50, "a": 123456789012345678901234567890, "b": [true, null, 1e400]}'
    assert "".join(shown(body).split()) == "".join(body.split())


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 5000, "{", "[1] trailing", "\ufeff{}"])
def test_bodies_that_are_no_json(body: str) -> None:
    """What cannot be read, or is nested without end, is shown as it is."""
    assert shown(body).startswith(visible(body[:3]))


def test_long_bodies_are_cut() -> None:
    """A body beyond the bound is cut, and how much is left out is told."""
    assert shown("x" * (LONGEST + 5)).endswith("\n… (5 more characters)")


def test_attacks_are_marked_where_they_stand() -> None:
    """In the value at their path and in no other; one that is not there in clear marks the whole value."""
    marks = Marks({"reqBody.q": ["SQLI"], "reqBody.r": ["SQLI"]}, {"reqBody.mail": ["Email"]})
    body = json.dumps({"q": "x' OR 1=1 --", "r": "JyBPUiAxPTE=", "s": "x' OR 1=1 --", "mail": "a@b.example"})
    kinds = [(piece.kind, piece.text) for piece in show_body(body, "reqBody", marks)]
    hits = [text for kind, text in kinds if kind == "hit"]
    assert any("OR 1=1" in text for text in hits)
    assert "JyBPUiAxPTE=" in hits
    assert sum("OR 1=1" in text for text in hits) == 1
    assert ("sensitive", "a@b.example") in kinds


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=100), st.booleans())
def test_charts_stay_in_their_place(values: list[tuple[int, int]], beside: bool) -> None:
    """Every bar lies within the drawing, none over another, the highest under the top; nothing is lost of the sum."""
    points = [(index * 60_000, *both) for index, both in enumerate(values)]
    chart = draw(points, ("a", "b"), [value / 2 for value, _ in values], beside)
    assert chart.total == sum(map(sum, values))
    assert chart.top >= max((max(both) if beside else sum(both) for both in values), default=0)
    assert len(chart.columns) == sum(any(both) for both in values)
    for column in chart.columns:
        assert [value for _, value in column.told if value] == [bar.value for bar in column.bars]
        for bar in column.bars:
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.02
            assert -0.01 <= bar.y <= bar.y + bar.height <= HEIGHT + 2.02
        if beside and len(column.bars) == 2:
            assert column.bars[1].x == pytest.approx(column.bars[0].x + column.bars[0].width, abs=0.02)
    for point in chart.limit.split():
        assert 0 <= float(point.split(",")[1]) <= HEIGHT


@given(st.dictionaries(st.integers(-1, 300), st.integers(1, 10**6), max_size=80))
def test_a_spread_loses_nobody(buckets: dict[int, int]) -> None:
    """Every call is in one bar, from the shortest to the longest, at most forty of them."""
    found = draw_spread(histogram(buckets, 0.0, 0.0, 0.0))
    assert sum(step.count for step in found.steps) == sum(buckets.values())
    assert len(found.steps) <= 40
    for one, next_one in zip(found.steps, found.steps[1:], strict=False):
        assert one.most <= next_one.least + 1
        assert one.x + one.width < next_one.x
    for step in found.steps:
        assert step.x + step.width <= WIDTH
        assert 0 <= step.y <= step.y + step.height <= HEIGHT + 0.02


def test_axes_end_on_round_numbers() -> None:
    """4 at least, then the steps of 1, 2 and 5."""
    assert [nice_top(value) for value in (0, 4, 6, 11, 21, 51, 101, 999)] == [5, 5, 10, 20, 50, 100, 200, 1000]


def test_numbers_in_words() -> None:
    """Numbers, sizes and spans of time in the unit that suits them."""
    assert [short_number(value) for value in (999, 9_999, 12_345, 2_000_000)] == ["999", "9,999", "12.3k", "2M"]
    assert [size(value) for value in (10, 20_480, 20_971_520)] == ["10 B", "20 kB", "20 MB"]
    assert [duration(value) for value in (999, 1_500, 2_500_000)] == ["999 µs", "1.5 ms", "2.5 s"]
    assert query({"a": "x&y", "b": "", "c": 1}, c=None, d="é") == "?a=x%26y&d=%C3%A9"


def test_tracing_links() -> None:
    """Ids are filled in as parts of a path, whatever they hold; without an id or a template there is no link."""
    meta = {"meta": {"traceId": "a/../b?c#d", "spanId": None}}
    assert tracing_link("https://t/{traceId}/{spanId}", meta) == "https://t/a%2F..%2Fb%3Fc%23d/"
    assert tracing_link("javascript:{traceId}", meta) == ""
    assert tracing_link("https://t/{traceId}", {"meta": {"traceId": 7}}) == ""
