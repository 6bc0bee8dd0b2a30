"""Rules found by what a request is, so that a thousand of them cost a few look-ups instead of a thousand
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from metlo_otel.blocking.addresses import normalise, parse_network
from metlo_otel.blocking.conditions import Matcher, Read, compile_rule, is_range, read_values
from metlo_otel.blocking.rules import ALL, Condition, Group, Rule
from metlo_otel.blocking.view import View


class Indexed(Protocol):
    """What the index needs of an entry: the rule, its place in the list, when it ends (seconds), and its
    matcher.
    """

    @property
    def rule(self) -> Rule:
        """The rule itself."""

    @property
    def order(self) -> int:
        """Its place in the list."""

    @property
    def ends(self) -> float:
        """When it ends, in seconds since the epoch; infinite where it does not."""


Entry = TypeVar("Entry", bound=Indexed)
Probe = Callable[[View, "list[Placed[Entry]]"], None]
Handle = tuple[str, "str | None", str, str]  # field, key, how to look it up, value

_EXACT, _RANGE, _PREFIX, _SUFFIX, _CONTAINS, _PRESENT = (
    "exact",
    "range",
    "prefix",
    "suffix",
    "contains",
    "present",
)
_LOOK_UPS = {"eq": _EXACT, "startswith": _PREFIX, "endswith": _SUFFIX, "contains": _CONTAINS}
_COSTS = {_EXACT: 0, _RANGE: 1, _PREFIX: 2, _SUFFIX: 3, _CONTAINS: 4, _PRESENT: 5}
_SCAN = 7
_FEW = 4  # up to this many rules are tested one by one: that is faster than looking them up


@dataclass(frozen=True, slots=True)
class Placed(Generic[Entry]):
    """An entry with the function that decides, where the look-up only pointed at it."""

    entry: Entry
    matches: Matcher


class Index(Generic[Entry]):
    """Entries by one condition that each cannot match without; what has none such is always tested.

    Conditions on the `assumed` fields count as met.
    """

    __slots__ = ("_always", "_probes")

    def __init__(self, entries: Iterable[Entry], assumed: Collection[str] = ()) -> None:
        placed = [Placed(entry, compile_rule(entry.rule, assumed)) for entry in entries]
        self._always: list[Placed[Entry]] = []
        tables: dict[tuple[str, str | None, str], dict[str, list[Placed[Entry]]]] = {}
        for item in placed:
            handles = _handles(item.entry.rule, assumed) if len(placed) > _FEW else None
            if handles is None:
                self._always.append(item)
            for field, key, how, value in handles or ():
                tables.setdefault((field, key, how), {}).setdefault(value, []).append(item)
        self._probes: list[Probe[Entry]] = [
            _probe(how, read_values(field, key), table) for (field, key, how), table in tables.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._always or self._probes)

    def matching(self, view: View, now: float) -> list[Entry]:
        """The entries that match and have not ended, in the order of the list; `now` in seconds since the
        epoch.
        """
        candidates = list(self._always)
        for probe in self._probes:
            probe(view, candidates)
        found = [item.entry for item in candidates if now < item.entry.ends and item.matches(view)]
        if len(found) > 1:
            return sorted(dict.fromkeys(found), key=lambda entry: entry.order)
        return found


def _handles(rule: Rule, assumed: Collection[str]) -> list[Handle] | None:
    """The look-ups of which at least one must hit for the rule to match; None where no look-up helps."""
    best: tuple[int, list[Handle] | None] = (_SCAN, None)
    for group in rule.groups:
        for cost, handles in _group_handles(group, assumed):
            if cost < best[0]:
                best = (cost, handles)
    return best[1]


def _group_handles(group: Group, assumed: Collection[str]) -> list[tuple[int, list[Handle]]]:
    if group.rule == ALL:
        known = [condition for condition in group.conditions if condition.field not in assumed]
        return [(_cost(condition), [_handle(condition)]) for condition in known if _cost(condition) < _SCAN]
    cost = max(map(_cost, group.conditions), default=0)
    if cost >= _SCAN or any(condition.field in assumed for condition in group.conditions):
        return []
    return [(cost, list(dict.fromkeys(map(_handle, group.conditions))))]


def _cost(condition: Condition) -> int:
    """How little a look-up by this condition narrows; _SCAN where it does not at all."""
    if condition.field in ("status_code", "request_body"):
        return _SCAN
    how = _handle(condition)[2]
    if condition.field == "method":
        return 6 if how == _EXACT else _SCAN
    if how == _PRESENT and condition.field in ("path", "ip_address"):
        return _SCAN
    return _COSTS[how]


def _handle(condition: Condition) -> Handle:
    field, value = condition.field, str(condition.value)
    how = _LOOK_UPS.get(condition.operator, _PRESENT)
    if is_range(condition):
        how = _RANGE if how == _EXACT else _PRESENT
    elif field == "ip_address" and how == _EXACT:
        value = normalise(value)
    elif field == "path" and how in (_EXACT, _SUFFIX):
        value = value.rstrip("/")
    key = condition.key.lower() if condition.key and field == "request_header" else condition.key
    return field, key, how, "" if how == _PRESENT else value


def _probe(how: str, read: Read, table: dict[str, list[Placed[Entry]]]) -> Probe[Entry]:
    if how == _EXACT:
        return _exact(read, table)
    if how == _RANGE:
        return _ranges(table)
    if how == _CONTAINS:
        return _contains(read, list(table.items()))
    if how == _PRESENT:
        return _present(read, table[""])
    return _ends(read, table, prefix=how == _PREFIX)


def _exact(read: Read, table: dict[str, list[Placed[Entry]]]) -> Probe[Entry]:
    def probe(view: View, found: list[Placed[Entry]]) -> None:
        for text in read(view):
            if text in table:
                found += table[text]

    return probe


def _present(read: Read, items: Sequence[Placed[Entry]]) -> Probe[Entry]:
    def probe(view: View, found: list[Placed[Entry]]) -> None:
        if read(view):
            found += items

    return probe


def _contains(read: Read, table: Sequence[tuple[str, list[Placed[Entry]]]]) -> Probe[Entry]:
    """One tight loop over all needles; the path's own slash is added as its matcher does."""

    def probe(view: View, found: list[Placed[Entry]]) -> None:
        for text in read(view):
            slashed = text + "/"
            for items in [items for needle, items in table if needle in slashed]:
                found += items

    return probe


def _ends(read: Read, table: dict[str, list[Placed[Entry]]], prefix: bool) -> Probe[Entry]:
    """One look-up for each length that a prefix or suffix has."""
    lengths = sorted({len(value) for value in table})

    def probe(view: View, found: list[Placed[Entry]]) -> None:
        for text in read(view):
            whole = text + "/" if prefix else text
            size = len(whole)
            for length in lengths:
                if length > size:
                    break
                part = whole[:length] if prefix else whole[size - length :]
                if part in table:
                    found += table[part]

    return probe


def _ranges(table: dict[str, list[Placed[Entry]]]) -> Probe[Entry]:
    """One look-up for each mask that a range has."""
    masks: dict[tuple[int, int], dict[int, list[Placed[Entry]]]] = {}
    for value, items in table.items():
        span = parse_network(value)
        masks.setdefault((span.size, span.mask), {}).setdefault(span.first, []).extend(items)

    def probe(view: View, found: list[Placed[Entry]]) -> None:
        packed = view.address()
        number = int.from_bytes(packed or b"", "big")
        for (size, mask), firsts in masks.items():
            if packed is not None and len(packed) == size and number & mask in firsts:
                found += firsts[number & mask]

    return probe
