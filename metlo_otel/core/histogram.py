"""Latencies in an exponential histogram: few numbers that tell any percentile within a known error.

As in OpenTelemetry's metrics data model (Exponential Histogram): bucket `i` holds what is above `base**i` and at most
`base**(i + 1)`, where `base` is `2**(2**-scale)`. At scale 3 a bucket is 9 % wide, so that a percentile is told within
5 %. Where values lie so far apart that more than 160 buckets were needed, pairs of buckets become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, log2
from operator import add

SCALE = 3
MAX_BUCKETS = 160
PER_OCTAVE = 1 << SCALE


def bucket_of(value: float) -> int:
    """The bucket at SCALE of a value of at least 1; of one below it is bucket -1's, as 1 itself is."""
    return ceil(log2(value) * PER_OCTAVE) - 1 if value > 1 else -1


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` values were in bucket `offset + i`; `sum`, `min` and `max` are of the values themselves."""

    scale: int = SCALE
    offset: int = 0
    counts: tuple[int, ...] = ()
    sum: float = 0.0
    min: float = 0.0
    max: float = 0.0

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """The value below which `share` (0.95 for p95) of all lie: the middle of its bucket, within min and max."""
        wanted, passed = share * self.count, 0
        for position, count in enumerate(self.counts):
            passed += count
            if count and passed >= wanted:
                middle = 2 ** ((self.offset + position + 0.5) * 2**-self.scale)
                return max(self.min, min(float(middle), self.max))
        return self.max

    def plus(self, other: Histogram) -> Histogram:
        """Both together, at the coarser scale of the two."""
        if not self.counts or not other.counts:
            return self if self.counts else other
        first, last = min(self.offset, other.offset), max(self._end, other._end)
        if self.scale == other.scale and last - first <= MAX_BUCKETS:
            counts = tuple(map(add, self._over(first, last), other._over(first, last)))
            ends = min(self.min, other.min), max(self.max, other.max)
            return Histogram(self.scale, first, counts, self.sum + other.sum, *ends)
        return self._plus_coarser(other)

    @property
    def _end(self) -> int:
        return self.offset + len(self.counts)

    def _over(self, first: int, last: int) -> tuple[int, ...]:
        """The counts of the buckets from `first` to before `last`, which are at least those that there are."""
        return (0,) * (self.offset - first) + self.counts + (0,) * (last - self._end)

    def _plus_coarser(self, other: Histogram) -> Histogram:
        scale = min(self.scale, other.scale)
        buckets: dict[int, int] = {}
        for each in (self, other):
            for position, count in enumerate(each.counts):
                index = (each.offset + position) >> (each.scale - scale)
                buckets[index] = buckets.get(index, 0) + count
        ends = min(self.min, other.min), max(self.max, other.max)
        return histogram(buckets, self.sum + other.sum, *ends, scale)


def histogram(buckets: Mapping[int, int], total: float, least: float, most: float, scale: int = SCALE) -> Histogram:
    """The histogram of counts by bucket, their scale lowered until there are at most MAX_BUCKETS of them."""
    if not buckets:
        return Histogram()
    first, last = min(buckets), max(buckets)
    if last - first >= MAX_BUCKETS:
        merged: dict[int, int] = {}
        for index, count in buckets.items():
            merged[index >> 1] = merged.get(index >> 1, 0) + count
        return histogram(merged, total, least, most, scale - 1)
    counts = tuple([buckets.get(index, 0) for index in range(first, last + 1)])
    return Histogram(scale, first, counts, total, least, most)


def summed(histograms: Iterable[Histogram]) -> Histogram:
    """All of them together."""
    some = [each for each in histograms if each.counts]
    if len(some) < 2:
        return some[0] if some else Histogram()
    scale = min([each.scale for each in some])
    buckets: dict[int, int] = {}
    for each in some:
        shift = each.scale - scale
        for index, count in enumerate(each.counts, each.offset):
            if count:
                at = index >> shift
                buckets[at] = buckets.get(at, 0) + count
    ends = min([each.min for each in some]), max([each.max for each in some])
    return histogram(buckets, sum([each.sum for each in some]), *ends, scale)


def read_histogram(given: Mapping[str, object]) -> Histogram:
    """A histogram from the wire. Raises ValueError for what is none."""
    scale, offset, counts = given.get("scale"), given.get("offset"), given.get("counts")
    if (
        type(scale) is not int
        or type(offset) is not int
        or not (-10 <= scale <= 20 and -(1 << 31) <= offset <= 1 << 31)
    ):
        raise ValueError("a histogram's scale and offset are whole numbers, -10 to 20 and 32 bits")
    if not isinstance(counts, list | tuple) or len(counts) > MAX_BUCKETS:
        raise ValueError(f"a histogram's counts are a list of at most {MAX_BUCKETS}")
    if counts and (set(map(type, counts)) != {int} or min(counts) < 0 or max(counts) > 1 << 53):
        raise ValueError("a histogram's counts are whole numbers")
    total, least, most = given.get("sum", 0), given.get("min", 0), given.get("max", 0)
    return Histogram(scale, offset, tuple(counts), _read_end(total), _read_end(least), _read_end(most))


def _read_end(end: object) -> float:
    if (type(end) is int or type(end) is float) and 0 <= end < 1e18:
        return float(end)
    raise ValueError("a histogram's sum, min and max are numbers")
