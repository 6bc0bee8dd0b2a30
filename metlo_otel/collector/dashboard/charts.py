"""Charts as geometry: numbers over time become the bars, lines and labels that a template draws as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metlo_otel.core.histogram import Histogram

WIDTH, HEIGHT = 480, 80  # of the drawing, in its own units: it is stretched to its place
_GAP = 0.22  # of a bar's place is left empty
_STEPS = 40  # bars of a spread at most


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column; `part` says which, counted from 0, `value` what it stands for."""

    x: float
    y: float
    width: float
    height: float
    part: int
    value: int


@dataclass(frozen=True, slots=True)
class Column:
    """All bars over one span of time from `start` on (ms), one upon the other, in words too."""

    x: float
    width: float
    start: int
    bars: tuple[Bar, ...]
    told: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of columns. `top` is what its upper edge stands for; `times` are the moments (ms) at its left and right;
    `limit` is the line from which counts are too high, empty where there is none.
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    top: int
    total: int
    times: tuple[int, ...]
    limit: str = ""
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Step:
    """A bar of a spread: `count` calls took from `least` to `most` microseconds."""

    x: float
    y: float
    width: float
    height: float
    least: int
    most: int
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How many took how long; `ends` are the shortest and the longest time."""

    steps: tuple[Step, ...]
    top: int
    ends: tuple[int, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw(
    points: Sequence[tuple[int, ...]],
    names: Sequence[str] = ("",),
    limit: Sequence[float] | None = None,
    beside: bool = False,
) -> Chart:
    """The chart of `points`: the start of each span of time (ms, evenly spaced) and its counts, one for each of
    `names`, oldest first, one upon the other or, where one may be part of another, `beside` each other. `limit` has for
    each span the count from which it is too high.
    """
    highest = max if beside else sum
    top = nice_top(max((highest(values) for _, *values in points), default=0))
    place = WIDTH / max(len(points), 1)
    columns = tuple(
        _column(index, start, values, names, top, place, beside)
        for index, (start, *values) in enumerate(points)
        if any(values)
    )
    total = sum(sum(values) for _, *values in points)
    line = _line(limit, top, place) if limit and total else ""
    return Chart(columns, tuple(names), top, total, _times(points), line)


def draw_spread(found: Histogram) -> Spread:
    """The chart of a histogram of microseconds, its scale such that there are at most 40 bars."""
    buckets, scale = {index: n for index, n in enumerate(found.counts, found.offset) if n}, found.scale
    while buckets and max(buckets) - min(buckets) >= _STEPS:
        coarser: dict[int, int] = {}
        for index, count in buckets.items():
            coarser[index >> 1] = coarser.get(index >> 1, 0) + count
        buckets, scale = coarser, scale - 1
    if not buckets:
        return Spread((), 4, ())
    first, last = min(buckets), max(buckets)
    top, place = nice_top(max(buckets.values())), WIDTH / (last - first + 1)
    steps = tuple(_step(index, count, scale, first, top, place) for index, count in sorted(buckets.items()))
    return Spread(steps, top, (steps[0].least, steps[-1].most))


def _step(index: int, count: int, scale: int, first: int, top: int, place: float) -> Step:
    height = max(round(HEIGHT * count / top, 2), 2.0)
    x = round((index - first + _GAP / 2) * place, 2)
    least, most = (round(2 ** (edge * 2**-scale)) for edge in (index, index + 1))
    return Step(x, round(HEIGHT - height, 2), round(place * (1 - _GAP), 2), height, least, most, count)


def nice_top(highest: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 and so on that is not below `highest`; at least 4, for a single call is not
    a peak.
    """
    unit = 1
    while True:
        for step in (unit, 2 * unit, 5 * unit):
            if step >= max(highest, 4):
                return step
        unit *= 10


def _column(
    index: int, start: int, values: Sequence[int], names: Sequence[str], top: int, place: float, beside: bool
) -> Column:
    x, width, y = round((index + _GAP / 2) * place, 2), round(place * (1 - _GAP), 2), float(HEIGHT)
    bars = []
    each = round(width / len(values), 2) if beside else width
    for part, value in enumerate(values):
        if value:
            height = max(round(HEIGHT * value / top, 2), 2.0)  # what happened once is seen
            y = max((HEIGHT if beside else y) - height, 0.0)
            bars.append(Bar(round(x + part * each * beside, 2), round(y, 2), each, height, part, value))
    return Column(x, width, start, tuple(bars), tuple(zip(names, values, strict=True)))


def _line(limit: Sequence[float], top: int, place: float) -> str:
    """The points of a stepped line, as SVG has them; what lies above the chart is left out."""
    found = [
        f"{x:g},{round(HEIGHT * (1 - value / top), 2):g}"
        for index, value in enumerate(limit)
        if 0 < value <= top
        for x in (round(index * place, 2), round((index + 1) * place, 2))
    ]
    return " ".join(found)


def _times(points: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if len(points) < 2:
        return ()
    step = points[1][0] - points[0][0]
    return points[0][0], points[-1][0] + step
