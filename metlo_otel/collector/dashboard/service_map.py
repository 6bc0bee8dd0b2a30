"""The map of services as geometry: columns from who is called by nobody to the right, a line for each pair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_NODES = 60  # on the map; the table has the others
_WIDTH, _HEIGHT = 190, 34  # of a node, in the drawing's own units
_ACROSS, _DOWN, _EDGE = 90, 18, 12  # between nodes, and around them


@dataclass(frozen=True, slots=True)
class Node:
    """A box; `kind` is service, host or elsewhere."""

    name: str
    kind: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """From the right of a box to the left of another, as an SVG path."""

    path: str
    calls: int
    errors: int
    words: str


@dataclass(frozen=True, slots=True)
class Map:
    """All of it, with its size."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    width: int
    height: int
    node_width: int = _WIDTH
    node_height: int = _HEIGHT


def draw(calls: Sequence[Mapping[str, Any]]) -> Map:
    """The map of calls, which are the most frequent first; of very many services those with most calls."""
    kinds: dict[str, str] = {}
    for call in calls:
        kinds[call["caller"]] = "service"
        kinds.setdefault(call["callee"], call["kind"])
    shown = set(list(kinds)[:MOST_NODES])
    drawn = [call for call in calls if {call["caller"], call["callee"]} <= shown]
    columns: dict[int, list[str]] = defaultdict(list)
    for name, column in sorted(_columns(drawn).items()):
        columns[column].append(name)
    places = {
        name: (_EDGE + column * (_WIDTH + _ACROSS), _EDGE + row * (_HEIGHT + _DOWN))
        for column, names in columns.items()
        for row, name in enumerate(names)
    }
    nodes = tuple(Node(name, kinds[name], *place) for name, place in places.items())
    lines = tuple(_line(call, places[call["caller"]], places[call["callee"]]) for call in drawn)
    width = max((node.x for node in nodes), default=0) + _WIDTH + _EDGE
    height = max((node.y for node in nodes), default=0) + _HEIGHT + _DOWN + _EDGE
    return Map(nodes, lines, width, height)


def _columns(calls: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many calls lie before each service, on the shortest way from one that nobody calls; in a circle from its
    first by name.
    """
    callees: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        if call["caller"] != call["callee"]:
            callees[call["caller"]].add(call["callee"])
    names = sorted({name for call in calls for name in (call["caller"], call["callee"])})
    called = {name for found in callees.values() for name in found}
    columns: dict[str, int] = {}
    for first in [name for name in names if name not in called] + names:
        if first not in columns:
            columns[first] = 0
            front = [first]
            while front:
                after = sorted({name for each in front for name in callees[each]} - columns.keys())
                columns.update((name, columns[front[0]] + 1) for name in after)
                front = after
    return columns


def _line(call: Mapping[str, Any], start: tuple[int, int], end: tuple[int, int]) -> Line:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    if x2 <= start[0]:  # to the same column or back: below both
        low = max(start[1], end[1]) + _HEIGHT + _DOWN - 4
        x1, x2 = start[0] + _WIDTH // 2, end[0] + _WIDTH // 2
        path = f"M{x1} {start[1] + _HEIGHT}C{x1} {low},{x2} {low},{x2} {end[1] + _HEIGHT}"
    else:
        middle = (x1 + x2) // 2
        path = f"M{x1} {y1}C{middle} {y1},{middle} {y2},{x2} {y2}"
    words = f"{call['caller']} calls {call['callee']}: {call['calls']} times, {call['errors']} failed"
    return Line(path, call["calls"], call["errors"], words)
