"""What was captured, as tables for a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {"1": "dim", "2": "green", "3": "cyan", "4": "yellow", "5": "red"}


def render(endpoints: Sequence[Mapping[str, Any]], traces: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Endpoints, the busiest first, and below them the latest traces; both as the collector's API lists them."""
    return Group(_endpoints(endpoints), Text(), _traces(traces))


def plain(text: str) -> Text:
    """Text that came from outside, without what a terminal would obey."""
    return Text("".join(char if char.isprintable() else "\ufffd" for char in text), overflow="ellipsis", no_wrap=True)


def _endpoints(endpoints: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Endpoints", title_justify="left", expand=True)
    for name, justify in (("Method", "left"), ("Endpoint", "left"), ("Calls", "right"), ("Statuses", "left")):
        table.add_column(name, justify=justify, ratio=1 if name == "Endpoint" else None)  # type: ignore[arg-type]  # one of rich's words
    table.add_column("Last seen", justify="right")
    for item in sorted(endpoints, key=lambda item: -item["calls"]):
        seen = f"{max(0.0, time.time() - item['lastSeen'] / 1000):.0f} s ago"
        table.add_row(item["method"], plain(item["path"]), str(item["calls"]), _statuses(item["statuses"]), seen)
    return table


def _traces(traces: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Latest requests", title_justify="left", expand=True)
    for name in ("Time", "From", "User", "Method"):
        table.add_column(name)
    table.add_column("Path", ratio=1)
    table.add_column("Status")
    table.add_column("Attacks")
    for item in traces:
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(item["received"] / 1000)),
            plain(item["source"] or ""),
            plain(item["user"] or ""),
            item["method"],
            plain(item["path"]),
            _statuses({str(item["status"]): 1}),
            plain(", ".join(item["attacks"])),
        )
    return table


def _statuses(counts: Mapping[str, int]) -> Text:
    parts = [Text(status if n == 1 else f"{status}×{n}", _STYLES[status[0]]) for status, n in counts.items()]
    return Text("  ").join(parts)
