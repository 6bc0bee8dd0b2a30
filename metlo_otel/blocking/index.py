"""Rules found by what a request is: a thousand of them cost a few look-ups instead of a thousand tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from metlo_otel.blocking.conditions import Matcher, compile_rule, header_name, is_range
from metlo_otel.blocking.rules import ALL, Condition, Group, Rule
from metlo_otel.blocking.tables import RangeTable, TextTable
from metlo_otel.blocking.view import Client, View, unescaped
from metlo_otel.blocking.vocabulary import CONTAINS, EXACT, FIELDS, OPERATORS, PREFIX, PRESENT, RANGE, SUFFIX
from metlo_otel.core.addresses import normalise, pack
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.paths import upper_hex
from metlo_otel.core.request import HeaderNames, Request


class Indexed(Protocol):
    """What the index needs of an entry."""

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
Handle = tuple[str, "str | None", str, str]  # field, key, how to look it up, value

_COSTS = {EXACT: 0, RANGE: 1, PREFIX: 2, SUFFIX: 3, CONTAINS: 4, PRESENT: 5}
_METHOD, _SCAN = 6, 7
_SENT = "path as sent"
_MANY_NAMES = 16  # from so many on, reading all parameters is faster than asking for each


@dataclass(frozen=True, slots=True)
class Placed(Generic[Entry]):
    """An entry with the function that decides, where a look-up only pointed at it."""

    entry: Entry
    matches: Matcher


Tables = dict[str, TextTable[Placed[Entry]]]


class Index(Generic[Entry]):
    """Entries by one condition that each cannot match without; what has none such is always tested.

    Conditions on the `assumed` fields count as met.
    """

    __slots__ = (
        *("_always", "_by_client", "_filled", "_headers", "_ip", "_method", "_more", "_names"),
        *("_parameters", "_path", "_ranges", "_sent", "_session", "_user"),
    )

    def __init__(self, entries: Iterable[Entry], assumed: Collection[str] = ()) -> None:
        self._always: list[Placed[Entry]] = []
        texts: Tables[Entry] = {}
        self._headers: Tables[Entry] = {}
        self._parameters: Tables[Entry] = {}
        ranges: list[tuple[str, Placed[Entry]]] = []
        keyed = {"request_header": self._headers, "request_parameter": self._parameters}
        for entry in entries:
            item = Placed(entry, compile_rule(entry.rule, assumed))
            handles = _handles(entry.rule, assumed)
            if handles is None:
                self._always.append(item)
            for field, key, how, value in handles or ():
                if how == RANGE:
                    ranges.append((value, item))
                else:
                    keyed.get(field, texts).setdefault(key or field, TextTable()).add(how, value, item)
        self._path, self._sent, self._method = texts.get("path"), texts.get(_SENT), texts.get("method")
        self._names = HeaderNames(self._headers)
        self._ip, self._user = texts.get("ip_address"), texts.get("user")
        self._session = texts.get("unique_session_key")
        self._ranges = RangeTable(ranges) if ranges else None
        self._by_client = any((self._ip, self._ranges, self._user, self._session))
        self._more = any((self._sent, self._method, self._headers, self._parameters, self._by_client))
        self._filled = any((self._always, texts, ranges, *keyed.values()))

    def __bool__(self) -> bool:
        return self._filled

    def matching(self, exchange: Exchange, client: Client, now: float) -> list[Entry]:
        """The entries that match and have not ended, in the order of the list; `now` in seconds since the
        epoch.
        """
        candidates = self._always.copy()  # filled here, not in a function of its own: every request passes
        request = exchange.request
        if self._path is not None:
            plain = request.plain_path()
            if plain is not None:
                self._path.find(plain, candidates)
            else:
                self._find_paths(self._path, request, candidates)
        if self._more:
            self._find_more(request, client, candidates)
        return self._tested(candidates, exchange, client, now) if candidates else []

    def _find_more(self, request: Request, client: Client, found: list[Placed[Entry]]) -> None:
        if self._sent is not None:
            for path in request.sent_paths():
                self._sent.find(path, found)
        if self._method is not None:
            self._method.find(request.method.upper(), found)
        if self._headers:
            self._find_headers(request, found)
        if self._parameters and (len(self._parameters) >= _MANY_NAMES or _may_hold(request.query, self._parameters)):
            self._find_parameters(request, found)
        if self._by_client:
            self._find_client(client, found)

    def _tested(self, candidates: list[Placed[Entry]], exchange: Exchange, client: Client, now: float) -> list[Entry]:
        view = View(exchange, client)
        found = [item.entry for item in candidates if now < item.entry.ends and item.matches(view)]
        if len(found) > 1:
            return sorted(dict.fromkeys(found), key=lambda entry: entry.order)
        return found

    def _find_paths(self, table: TextTable[Placed[Entry]], request: Request, found: list[Placed[Entry]]) -> None:
        for paths in request.paths():
            for path in paths:
                table.find(path, found)

    def _find_headers(self, request: Request, found: list[Placed[Entry]]) -> None:
        headers = self._headers
        for name, value in request.chosen(self._names):
            table = headers[name]
            table.find(value, found)
            if table.has_items and "," in value:
                table.find_items(value, found)
            if name == "cookie":
                for text in unescaped([value]):
                    table.find(text, found)

    def _find_parameters(self, request: Request, found: list[Placed[Entry]]) -> None:
        parameters = self._parameters
        for pairs in request.queries():
            for name, value in pairs:
                if name in parameters:
                    parameters[name].find(value, found)

    def _find_client(self, client: Client, found: list[Placed[Entry]]) -> None:
        if self._ip is not None or self._ranges is not None:
            text = client.ip
            if text and self._ip is not None:
                self._ip.find(text, found)
            if text and self._ranges is not None and (packed := pack(text)):
                self._ranges.find(packed, found)
        if self._user is not None and (text := client.user):
            self._user.find(text, found)
        if self._session is not None and (text := client.session):
            self._session.find(text, found)


def _may_hold(query: str, names: Collection[str]) -> bool:
    """Whether any of the names may be in a query: cheaper than reading it, and most queries hold none."""
    if "%" in query or "+" in query or not query.isascii():
        return True
    for name in names:  # noqa: SIM110  # a generator costs more than the test itself
        if name in query:
            return True
    return False


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
        return [(_cost(condition), _look_ups(condition)) for condition in known if _cost(condition) < _SCAN]
    cost = max(map(_cost, group.conditions), default=0)
    if cost >= _SCAN or any(condition.field in assumed for condition in group.conditions):
        return []
    handles = [handle for condition in group.conditions for handle in _look_ups(condition)]
    return [(cost, list(dict.fromkeys(handles)))]


def _cost(condition: Condition) -> int:
    """How little looking up by this condition narrows; _SCAN where it does not at all."""
    if not FIELDS[condition.field].indexed:
        return _SCAN
    ways = [how for _, _, how, _ in _look_ups(condition)]
    if condition.field == "method":
        return _METHOD if ways == [EXACT] else _SCAN
    if PRESENT in ways and condition.field in ("path", "ip_address"):
        return _SCAN
    return max(_COSTS[how] for how in ways)


def _look_ups(condition: Condition) -> list[Handle]:
    """The look-ups of which at least one hits where the condition holds."""
    field, value = condition.field, str(condition.value)
    how = OPERATORS[condition.operator].look_up
    if is_range(condition):
        ways = [(RANGE if how == EXACT else PRESENT, value)]
    elif field == "ip_address" and how == EXACT:
        ways = [(EXACT, normalise(value))]
    elif field == "path":
        return [
            *_path_handles(field, how, value),
            *(_path_handles(_SENT, how, upper_hex(value)) if "%" in value else ()),
        ]
    else:
        ways = [(how, value.upper() if field == "method" else value)]
    key = header_name(condition) if field == "request_header" else condition.key
    return [(field, key, *_reduced(how, value)) for how, value in ways]


def _path_handles(field: str, how: str, value: str) -> list[Handle]:
    return [(field, None, *_reduced(how, value)) for how, value in _path_look_ups(how, value)]


def _path_look_ups(how: str, value: str) -> list[tuple[str, str]]:
    """Conditions see the path with a slash at its end where they begin or contain; tables see it without."""
    if how in (EXACT, SUFFIX):
        return [(how, value.rstrip("/"))]
    if value.endswith("/") and how in (PREFIX, CONTAINS):
        return [(how, value), (EXACT if how == PREFIX else SUFFIX, value[:-1])]
    return [(how, value)]


def _reduced(how: str, value: str) -> tuple[str, str]:
    """Every text begins with, ends with and contains the empty one."""
    return (PRESENT, "") if how == PRESENT or (not value and how != EXACT) else (how, value)
