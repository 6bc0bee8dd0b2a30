"""Charts of counts and of times, with what their numbers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metlo_otel.collector.dashboard.charts import Chart, Spread, draw, draw_spread
from metlo_otel.collector.dashboard.rendering import query
from metlo_otel.collector.dashboard.times import Span
from metlo_otel.collector.upkeep import ERROR_RATE
from metlo_otel.core.histogram import Histogram

POINTS = 60  # columns of a chart
Points = Sequence[dict[str, int]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart under its name; `kind` is its colour, `parts` what its number is made of: name, number, and the page
    that lists them.
    """

    name: str
    kind: str
    chart: Chart
    parts: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class LatencyPanel:
    """The chart of the 95th percentile over time, and the percentiles of all of it; None where no time is known."""

    chart: Chart
    latency: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class SpreadPanel:
    """How many calls took how long."""

    chart: Spread
    calls: int


def panels_of(points: Points, span: Span, endpoint: int | None = None) -> list[Panel]:
    """The charts of the counts in `points`, linked to what they count."""
    where = {**({} if endpoint is None else {"endpoint": str(endpoint)}), **span.linked}

    def panel(
        name: str, *parts: tuple[str, str, str, dict[str, str]], limit: list[float] | None = None, beside: bool = False
    ) -> Panel:
        drawn = [(point["at"], *[point[count] for _, count, _, _ in parts]) for point in points]
        told = [
            (called, sum(point[count] for point in points), f"/dashboard/{page}{query(where, **more)}")
            for called, count, page, more in parts
        ]
        return Panel(
            name, name.lower().replace(" ", "-"), draw(drawn, [part[0] for part in parts], limit, beside), tuple(told)
        )

    return [
        panel("Requests", ("all", "calls", "traces", {})),
        panel(
            "Errors",
            ("5xx", "serverErrors", "traces", {"status": "5xx"}),
            ("4xx", "clientErrors", "traces", {"status": "4xx"}),
            limit=[point["calls"] * ERROR_RATE for point in points],
        ),
        panel(
            "Attacks",
            ("attacked", "attacks", "attacks", {}),
            ("blocked", "blocked", "traces", {"blocked": "true"}),
            beside=True,
        ),
    ]


def rates_of(points: Points) -> dict[str, float]:
    """The shares of calls that failed, in percent."""
    calls = sum(point["calls"] for point in points)
    names = {"client": "clientErrors", "server": "serverErrors"}
    sums = {name: sum(point[count] for point in points) for name, count in names.items()}
    return {name: 100 * failed / calls if calls else 0.0 for name, failed in sums.items()}


def latency_panel(measured: dict[str, Any]) -> LatencyPanel:
    """How long calls took over time, of what queries.latencies() found."""
    points = [(point["at"], point["latency"]["p95"] if point["latency"] else 0) for point in measured["points"]]
    return LatencyPanel(draw(points, ["p95"]), measured["latency"])


def spread_panel(found: Histogram) -> SpreadPanel:
    """How many calls took how long."""
    return SpreadPanel(draw_spread(found), found.count)
