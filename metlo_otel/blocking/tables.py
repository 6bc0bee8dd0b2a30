"""Look-ups that find the rules one text or address points at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from metlo_otel.blocking.view import listed
from metlo_otel.blocking.vocabulary import EXACT, PREFIX, PRESENT, SUFFIX
from metlo_otel.core.addresses import parse_network

T = TypeVar("T")

_MANY = 8  # from so many needles on, what they found in a text is remembered
_MEMORY = 512  # texts that are remembered
_LONGEST = 512  # characters of a text that is remembered


class TextTable(Generic[T]):
    """Items by a text that equals, begins, ends or contains their value, or by there being a text at all."""

    __slots__ = ("_contains", "_exact", "_memory", "_prefixes", "_present", "_suffixes", "has_items")

    def __init__(self) -> None:
        self._exact: dict[str, list[T]] = {}
        self._present: list[T] = []
        self._prefixes: dict[int, dict[str, list[T]]] = {}
        self._suffixes: dict[int, dict[str, list[T]]] = {}
        self._contains: dict[str, list[T]] = {}
        self._memory: dict[str, list[T]] = {}
        self.has_items = False  # whether an item of a list may point at more than the whole list does

    def add(self, how: str, value: str, item: T) -> None:
        """Put an item where texts that match `value` in this way find it."""
        if how == PRESENT:
            self._present.append(item)
            return
        if how in (PREFIX, SUFFIX):
            lengths = self._prefixes if how == PREFIX else self._suffixes
            table = lengths.setdefault(len(value), {})
        else:
            table = self._exact if how == EXACT else self._contains
        table.setdefault(value, []).append(item)
        self.has_items = self.has_items or how in (EXACT, PREFIX, SUFFIX)

    def find(self, text: str, found: list[T]) -> None:
        """Add the items that a text points at to `found`."""
        if self._exact and text in self._exact:  # most header values are long and new: their hash costs
            found += self._exact[text]
        if self._prefixes:
            for length, table in self._prefixes.items():
                part = text[:length]
                if part in table:
                    found += table[part]
        if self._suffixes:
            for length, table in self._suffixes.items():
                part = text[-length:]
                if part in table:
                    found += table[part]
        if self._contains:
            self._find_contained(text, found)
        if self._present:
            found += self._present

    def find_items(self, text: str, found: list[T]) -> None:
        """As find(), for the items of a list with commas; what they contain is found in the whole."""
        if "," in text and self.has_items:
            for item in listed(text):
                self.find(item, found)

    def _find_contained(self, text: str, found: list[T]) -> None:
        """Clients send the same texts again and again (their User-Agent): what many needles find is kept a while."""
        many = len(self._contains) >= _MANY
        if many and text in self._memory:
            found += self._memory[text]
            return
        before = len(found)
        for needle, items in self._contains.items():
            if needle in text:
                found += items
        if many and len(text) <= _LONGEST:
            if len(self._memory) >= _MEMORY:
                self._memory.clear()
            self._memory[text] = found[before:]


class RangeTable(Generic[T]):
    """Items by the address ranges that hold an address: one look-up for each mask that a range has."""

    __slots__ = ("_masks",)

    def __init__(self, ranges: Iterable[tuple[str, T]]) -> None:
        self._masks: dict[int, dict[int, dict[int, list[T]]]] = {4: {}, 16: {}}
        for text, item in ranges:
            span = parse_network(text)
            self._masks[span.size].setdefault(span.mask, {}).setdefault(span.first, []).append(item)

    def find(self, packed: bytes, found: list[T]) -> None:
        """Add the items whose ranges hold the address, given as 4 or 16 bytes, to `found`."""
        number = int.from_bytes(packed, "big")
        for mask, firsts in self._masks[len(packed)].items():
            first = number & mask
            if first in firsts:
                found += firsts[first]
