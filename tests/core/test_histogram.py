"""Latencies in exponential histograms: percentiles within their error, few buckets, nothing lost in a merge."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.histogram import MAX_BUCKETS, Histogram, bucket_of, histogram, read_histogram, summed

latencies = st.lists(st.floats(1, 1e9, allow_nan=False), min_size=1, max_size=200)


def _of(values: list[float]) -> Histogram:
    return histogram(Counter(map(bucket_of, values)), sum(values), min(values), max(values))


@given(st.floats(1, 1e12, allow_nan=False))
def test_a_value_lies_in_its_bucket(value: float) -> None:
    """Above the bucket's lower end, not above its upper one, but for the rounding of the ends themselves."""
    base = 2 ** (2**-3)
    index = bucket_of(value)
    assert base**index <= value * (1 + 1e-9)
    assert value <= base ** (index + 1) * (1 + 1e-9)


@given(latencies, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_told_within_a_buckets_half(values: list[float], share: float) -> None:
    """5 % at the scale that is used, where the values fit into the buckets at that scale."""
    found = _of(values)
    if found.scale < 3:
        return
    exact = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    assert found.quantile(share) == pytest.approx(exact, rel=0.05)


@given(latencies, latencies)
def test_a_sum_is_the_histogram_of_all_values(one: list[float], other: list[float]) -> None:
    """No value is lost, however far apart they lie, and the number of buckets stays bounded."""
    both, together = _of(one).plus(_of(other)), _of(one + other)
    assert (both.count, both.min, both.max) == (together.count, together.min, together.max)
    assert both.sum == pytest.approx(together.sum)
    assert both.counts == together.counts or both.scale < together.scale
    assert len(both.counts) <= MAX_BUCKETS


def test_nothing_adds_nothing() -> None:
    """An empty histogram may stand on either side, and has no percentile but 0."""
    found = _of([5.0, 7.0])
    assert Histogram().plus(found) == found.plus(Histogram()) == summed([found, Histogram()]) == found
    assert Histogram().quantile(0.5) == 0


@given(latencies)
def test_the_wire_gives_back_what_was_written(values: list[float]) -> None:
    """read(write(histogram)) is the histogram."""
    found = _of(values)
    written = {name: getattr(found, name) for name in ("scale", "offset", "sum", "min", "max")}
    assert read_histogram({**written, "counts": list(found.counts)}) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 30},
        {"scale": True},
        {"offset": "1"},
        {"offset": 1 << 40},
        {"counts": "12"},
        {"counts": [-1]},
        {"counts": [1.5]},
        {"counts": [0] * (MAX_BUCKETS + 1)},
        {"counts": None},
        {"sum": -1},
        {"sum": "1"},
        {"max": float("inf")},
        {"min": float("nan")},
        {"min": True},
    ],
)
def test_what_is_no_histogram_is_refused(wrong: dict[str, Any]) -> None:
    """Each part on its own, so that a hostile agent cannot store what pages then stumble over."""
    whole = {"scale": 3, "offset": 1, "counts": [1], "sum": 1, "min": 1, "max": 1}
    read_histogram(whole)
    with pytest.raises(ValueError, match="histogram"):
        read_histogram({**whole, **wrong})
