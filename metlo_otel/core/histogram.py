"""Latencies in an exponential histogram: few numbers that tell any percentile within a known error.

As in OpenTelemetry's metrics data model (Exponential Histogram): bucket `i` holds what is above `base**i` and at most
`base**(i + 1)`, where `base` is `2**(2**-scale)`. At scale 3 a bucket is 9 % wide, so that a percentile is told within
5 %. Where values lie so far apart that more than 160 buckets were needed, pairs of buckets become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2

SCALE = 3
MAX_BUCKETS = 160
_PER_OCTAVE = 1 << SCALE


def bucket_of(value: float) -> int:
    """The bucket at SCALE of a value of at least 1; of one below it is bucket -1's, as 1 itself is."""
    return ceil(log2(value) * _PER_OCTAVE) - 1 if value > 1 else -1


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
    total = Histogram()
    for each in histograms:
        total = total.plus(each)
    return total


def read_histogram(given: Mapping[str, object]) -> Histogram:
    """A histogram from the wire. Raises ValueError for what is none."""
    scale, offset, counts = given.get("scale"), given.get("offset"), given.get("counts")
    if not _is_count(scale, -10, 20) or not _is_count(offset, -(1 << 31), 1 << 31):
        raise ValueError("a histogram's scale and offset are whole numbers, -10 to 20 and 32 bits")
    if not isinstance(counts, Sequence) or isinstance(counts, str) or len(counts) > MAX_BUCKETS:
        raise ValueError(f"a histogram's counts are a list of at most {MAX_BUCKETS}")
    if not all(_is_count(count, 0, 1 << 53) for count in counts):
        raise ValueError("a histogram's counts are whole numbers")
    ends = [given.get(name, 0) for name in ("sum", "min", "max")]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) and 0 <= end < 1e18 for end in ends):
        raise ValueError("a histogram's sum, min and max are numbers")
    total, least, most = (float(end) for end in ends)  # type: ignore[arg-type]  # all() has asked
    return Histogram(int(str(scale)), int(str(offset)), tuple(counts), total, least, most)


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
