"""Many patterns over one text in one pass: an automaton built while it runs, so that time is linear in the text.

The construction is Thompson's (Regular Expression Search Algorithm, 1968) with states made on demand and kept in a
bounded cache, as in Aho, Sethi and Ullman, section 3.7. There is no backtracking: no pattern can make it slow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from metlo_otel.core.patterns import Chain, Chars, Edge, Either, Node, Range, Repeat

_MAX_STATES = 2000
_START, _LINE, _WORD, _OTHER, _END = range(5)  # what stands on a side of a place between characters

# Where the kinds of sides begin and end: the line feed, digits, letters, the underscore, halves of surrogate pairs.
_SIDES = (0x0A, 0x0B, 0x30, 0x3A, 0x41, 0x5B, 0x5F, 0x60, 0x61, 0x7B, 0xD800, 0xE000)

Closure = tuple[tuple[int, ...], frozenset[int]]


class _State(dict[str, "_State"]):
    """The steps that the text so far has led to; a missing successor is worked out when first asked for."""

    __slots__ = ("automaton", "before", "ending", "found", "steps")

    def __init__(self, automaton: Automaton, steps: frozenset[int], before: int, found: frozenset[int]) -> None:
        self.automaton = automaton
        self.steps = steps
        self.before = before
        self.found = found
        self.ending: frozenset[int] | None = None

    def __missing__(self, char: str) -> _State:
        alike = self.automaton.alike(char)
        successor = self[char] = self.automaton.successor(self, char) if alike == char else self[alike]
        return successor


class Automaton:
    """Says which of its patterns occur in a text."""

    def __init__(self, patterns: Sequence[Node]) -> None:
        self._chars: list[tuple[int, tuple[int, ...], int] | None] = []
        self._edges: list[str | None] = []
        self._next: list[tuple[int, ...]] = []
        self._match: list[int | None] = []
        self._owner: list[int] = []
        self._starts = [
            self._compile(node, self._step(owner, match=owner), owner) for owner, node in enumerate(patterns)
        ]
        self._openings: dict[tuple[int, int], Closure] = {}
        self._openers: dict[tuple[int, str], tuple[frozenset[int], frozenset[int]]] = {}
        self._states: dict[tuple[frozenset[int], int, frozenset[int]], _State] = {}
        bounds = {bound for test in self._chars if test is not None for bound in test[1]}
        self._bounds = sorted(bounds | set(_SIDES))
        self._first = _State(self, frozenset(), _START, frozenset())

    def match(self, text: str) -> frozenset[int]:
        """The indexes of the patterns that occur somewhere in the text."""
        state = self._first
        for char in text:
            state = state[char]
        if state.ending is None:
            state.ending = state.found | self._closing(state)
        return state.ending

    # Building the steps, from the last to the first.

    def _step(self, owner: int, *following: int, match: int | None = None) -> int:
        self._chars.append(None)
        self._edges.append(None)
        self._next.append(following)
        self._match.append(match)
        self._owner.append(owner)
        return len(self._next) - 1

    def _compile(self, node: Node, following: int, owner: int) -> int:
        if isinstance(node, Chars):
            step = self._step(owner, following)
            self._chars[step] = _lookup(node.ranges, following)
            return step
        if isinstance(node, Edge):
            step = self._step(owner, following)
            self._edges[step] = node.kind
            return step
        if isinstance(node, Chain):
            for part in reversed(node.parts):
                following = self._compile(part, following, owner)
            return following
        if isinstance(node, Either):
            return self._step(owner, *[self._compile(way, following, owner) for way in node.ways])
        return self._compile_repeat(node, following, owner)

    def _compile_repeat(self, node: Repeat, following: int, owner: int) -> int:
        if node.most is None:
            loop = self._step(owner)
            self._next[loop] = (self._compile(node.part, loop, owner), following)
            following = loop
        else:
            end = following
            for _ in range(node.most - node.least):
                following = self._step(owner, self._compile(node.part, following, owner), end)
        for _ in range(node.least):
            following = self._compile(node.part, following, owner)
        return following

    # Running them.

    def alike(self, char: str) -> str:
        """The first of the characters that no pattern tells from this one."""
        place = bisect_right(self._bounds, ord(char))
        return chr(self._bounds[place - 1]) if place else "\0"

    def successor(self, state: _State, char: str) -> _State:
        """The state after one more character."""
        after = _side(char)
        waiting, matched = self._closure(state.steps, state.before, after)
        opened, at_once = self._opened(state.before, char, after)
        found = state.found | matched | at_once
        steps = self._stepped(waiting, ord(char)) | opened
        owner = self._owner
        key = (frozenset([step for step in steps if owner[step] not in found]), after, found)
        known = self._states.get(key)
        return known if known is not None else self._remember(key)

    def _remember(self, key: tuple[frozenset[int], int, frozenset[int]]) -> _State:
        if len(self._states) >= _MAX_STATES:
            for state in list(self._states.values()):  # other threads add to them meanwhile
                state.clear()
            self._first.clear()
            self._states.clear()
        state = self._states[key] = _State(self, *key)
        return state

    def _closing(self, state: _State) -> frozenset[int]:
        _, matched = self._closure(state.steps, state.before, _END)
        return matched | self._opening(state.before, _END)[1]

    def _opening(self, before: int, after: int) -> Closure:
        """Where a match can begin at a place with these sides."""
        key = before, after
        if key not in self._openings:
            self._openings[key] = self._closure(self._starts, before, after)
        return self._openings[key]

    def _opened(self, before: int, char: str, after: int) -> tuple[frozenset[int], frozenset[int]]:
        key = before, char
        known = self._openers.get(key)
        if known is None:
            waiting, matched = self._opening(before, after)
            known = self._stepped(waiting, ord(char)), matched
            if len(self._openers) < _MAX_STATES:
                self._openers[key] = known
        return known

    def _stepped(self, waiting: Sequence[int], code: int) -> frozenset[int]:
        code = 0x3F if 0xD800 <= code <= 0xDFFF else code  # half a pair is no character: read as a question mark
        found = []
        for step in waiting:
            mask, bounds, following = self._chars[step] or (0, (), 0)
            if mask >> code & 1 if code < 128 else bisect_right(bounds, code) & 1:
                found.append(following)
        return frozenset(found)

    def _closure(self, steps: Sequence[int] | frozenset[int], before: int, after: int) -> Closure:
        """Follow what needs no character: the steps that wait for one, and the patterns that have matched."""
        todo, seen = list(steps), set(steps)
        waiting, matched = [], []
        while todo:
            step = todo.pop()
            owner, edge = self._match[step], self._edges[step]
            if owner is not None:
                matched.append(owner)
            elif self._chars[step] is not None:
                waiting.append(step)
            elif edge is None or _holds(edge, before, after):
                fresh = [following for following in self._next[step] if following not in seen]
                seen.update(fresh)
                todo += fresh
        return tuple(waiting), frozenset(matched)


def _lookup(ranges: Sequence[Range], following: int) -> tuple[int, tuple[int, ...], int]:
    """A bit mask for ASCII, and sorted bounds for the rest: inside where an odd number of them is passed."""
    mask = 0
    for low, high in ranges:
        if low < 128:
            mask |= (1 << (min(high, 127) + 1)) - (1 << low)
    return mask, tuple([bound for low, high in ranges for bound in (low, high + 1)]), following


def _side(char: str) -> int:
    if char == "\n":
        return _LINE
    return _WORD if char.isascii() and (char.isalnum() or char == "_") else _OTHER


def _holds(edge: str, before: int, after: int) -> bool:
    if edge == "text_start":
        return before == _START
    if edge == "text_end":
        return after == _END
    if edge == "line_start":
        return before in (_START, _LINE)
    if edge == "line_end":
        return after in (_END, _LINE)
    return (before == _WORD) != (after == _WORD)
