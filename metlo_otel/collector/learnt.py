"""What is known of one endpoint, in memory: its facts, and which of its fields were seen lately and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_AGAIN = 2  # times that a field is counted up to: seen once, or again


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was seen; see the table of facts for what its parts mean."""

    key: str
    status: int
    kind: str
    name: str


@dataclass(slots=True)
class Learnt:
    """`nodes` are the keys of fields, and of all they stand in, by place, `absent` those that were missing once.

    `shapes` are those of which nothing new can come, with the fields that they have; `seen` has the fields in the order
    of when they were seen last, with how often.
    """

    facts: set[Fact] = field(default_factory=set)
    nodes: dict[int, set[str]] = field(default_factory=dict)
    absent: dict[int, set[str]] = field(default_factory=dict)
    shapes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def add(self, facts: Iterable[Fact]) -> None:
        """Know more."""
        for fact in facts:
            self.facts.add(fact)
            stand(self.nodes, fact)
            if fact.kind == "absent":
                self.absent.setdefault(fact.status, set()).add(fact.key)
            if fact.key:
                self.seen.setdefault(fact.key, 0)

    def see(self, keys: Iterable[str]) -> None:
        """Note that fields were seen now."""
        for key in keys:
            times = self.seen.pop(key, 0)
            self.seen[key] = min(times + 1, _AGAIN)

    def make_room(self, wanted: int) -> list[str]:
        """Forget fields that have at least `wanted` facts together, and return their keys: those that were never seen
        again go first, of each kind those that were seen longest ago. What is known of the endpoint itself stays.
        """
        sizes = Counter(fact.key for fact in self.facts)
        order = [key for again in (False, True) for key, times in self.seen.items() if (times >= _AGAIN) is again]
        gone: list[str] = []
        for key in order:
            if wanted <= 0:
                break
            gone.append(key)
            wanted -= sizes[key]
        self._forget(frozenset(gone))
        return gone

    def _forget(self, keys: frozenset[str]) -> None:
        left = [fact for fact in self.facts if fact.key not in keys]
        self.facts, self.nodes, self.absent, self.shapes = set(), {}, {}, {}
        self.seen = {key: times for key, times in self.seen.items() if key not in keys}
        self.add(left)


def stand(nodes: dict[int, set[str]], fact: Fact) -> None:
    """Note the key of a field and of all it stands in, under its place: 0 for requests, the status of responses."""
    if fact.kind == "type":
        there, key = nodes.setdefault(fact.status, set()), fact.key
        while key and key not in there:
            there.add(key)
            key = parent(key)


def parent(key: str) -> str:
    """What a field stands in; empty for none."""
    return key.rpartition(".")[0]
