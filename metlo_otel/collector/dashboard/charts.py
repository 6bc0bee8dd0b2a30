"""Charts as geometry: numbers over time become the bars, lines and labels that a template draws as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 80  # of the drawing, in its own units: it is stretched to its place
_GAP = 0.22  # of a bar's place is left empty


@dataclass(frozen=True, slots=True)
class Bar:
    """One column; `start` in milliseconds since the epoch, `value` what it stands for."""

    x: float
    y: float
    width: float
    height: float
    start: int
    value: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart. `top` is what its upper edge stands for; `times` are the moments (ms) at its left and right."""

    bars: tuple[Bar, ...]
    top: int
    total: int
    times: tuple[int, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw(points: Sequence[tuple[int, int]]) -> Chart:
    """The chart of `points`: the start of each span of time (ms, evenly spaced) and its count, oldest first."""
    top = nice_top(max((value for _, value in points), default=0))
    place = WIDTH / max(len(points), 1)
    bars = tuple(_bar(index, start, value, top, place) for index, (start, value) in enumerate(points) if value)
    return Chart(bars, top, sum(value for _, value in points), _times(points))


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


def _bar(index: int, start: int, value: int, top: int, place: float) -> Bar:
    height = max(round(HEIGHT * value / top, 2), 2.0)  # what happened once is seen
    x = round((index + _GAP / 2) * place, 2)
    return Bar(x, round(HEIGHT - height, 2), round(place * (1 - _GAP), 2), height, start, value)


def _times(points: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    if len(points) < 2:
        return ()
    step = points[1][0] - points[0][0]
    return points[0][0], points[-1][0] + step
