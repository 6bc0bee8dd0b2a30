"""Charts as geometry: numbers over time become the bars, lines and labels that a template draws as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 96  # of the drawing, in its own units
_TOP, _BOTTOM = 6, 16  # room above the bars, and below them for the times
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
    """A bar chart. `top` is the number that the grid line at `line` stands for; `times` are (x, ms, anchor)."""

    bars: tuple[Bar, ...]
    top: int
    line: float
    base: float
    total: int
    times: tuple[tuple[float, int, str], ...]


def draw(points: Sequence[tuple[int, int]]) -> Chart:
    """The chart of `points`: the start of each span of time (ms, evenly spaced) and its count, oldest first."""
    top = nice_top(max((value for _, value in points), default=0))
    base = float(HEIGHT - _BOTTOM)
    place = WIDTH / max(len(points), 1)
    bars = tuple(_bar(index, start, value, top, place) for index, (start, value) in enumerate(points) if value)
    return Chart(bars, top, float(_TOP), base, sum(value for _, value in points), _times(points))


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
    full = HEIGHT - _BOTTOM - _TOP
    height = max(round(full * value / top, 2), 1.5)  # what happened once is seen
    x = round((index + _GAP / 2) * place, 2)
    return Bar(x, round(HEIGHT - _BOTTOM - height, 2), round(place * (1 - _GAP), 2), height, start, value)


def _times(points: Sequence[tuple[int, int]]) -> tuple[tuple[float, int, str], ...]:
    if len(points) < 3:
        return ()
    middle = len(points) // 2
    step = points[1][0] - points[0][0]
    return (
        (0.0, points[0][0], "start"),
        (WIDTH * middle / len(points), points[middle][0], "middle"),
        (float(WIDTH), points[-1][0] + step, "end"),
    )
