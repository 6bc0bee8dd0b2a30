"""One document of what an agent counted, checked: sums that can be relied on, or an error that says what and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from metlo_otel.collector.endpoints import LONGEST_HOST, LONGEST_PATH, storable
from metlo_otel.collector.sums import Counts, SeriesKey, Summed, Sums
from metlo_otel.collector.trace import TraceError, in_words
from metlo_otel.core.aggregates import AUTHENTICATIONS, SOURCES, VERSION
from metlo_otel.core.histogram import Histogram, read_histogram
from metlo_otel.core.record import METHODS

T = TypeVar("T")

MAX_SERIES = 4_000  # of one document
MAX_ACTORS = 2_000
ANY_METHOD = "_OTHER"  # what OpenTelemetry calls a method that nobody knows
ACTOR_KINDS = ("address", "session", "user")

_KEYS = 50_000  # series whose names were checked before
_CALLS = 10**9  # of one series
_BYTES = 10**12
_TIME = 2**53
_OCTAVES = 64  # from 1 µs, within which latencies lie
_LONGEST_MEDIA, _LONGEST_ACTOR = 128, 255
_ACTOR_COUNTS = ("calls", "clientErrors", "serverErrors", "blocked")
_NAMES = ("host", "method", "route", "path", "status", "requestType", "responseType", "authentication", "source")


class SumsReader:
    """Reads documents; remembers the names of series, which come again and again. For one thread at a time."""

    def __init__(self) -> None:
        self._keys: dict[tuple[Any, ...], SeriesKey] = {}

    def read(self, document: Any) -> Sums:
        """Check a decoded document. Raises TraceError."""
        given = _object(document, "document")
        _number(given, "version", VERSION, VERSION)
        for name in ("started", "ended"):
            _number(given, name, 0, _TIME)
        who = {name: _text(given, name) or None for name in ("service", "environment", "language")}
        series: dict[SeriesKey, Summed] = {}
        for each in _each(given, "series", MAX_SERIES, self._summed):
            known = series.setdefault(each.key, each)
            if known is not each:
                known.add(each)
        actors = _each(given, "actors", MAX_ACTORS, _actor)
        overflow = _object(given.get("overflow") or {}, "overflow")
        return Sums(series, dict(actors), _number(overflow, "actors", 0, _CALLS, 0), **who)

    def _summed(self, item: dict[str, Any]) -> Summed:
        calls = _number(item, "calls", 1, _CALLS)
        blocked = _number(item, "blocked", 0, calls)
        sizes = _number(item, "requestBytes", 0, _BYTES), _number(item, "responseBytes", 0, _BYTES)
        return Summed(self._key(item), calls, blocked, *sizes, [_latency(item, calls)])

    def _key(self, item: dict[str, Any]) -> SeriesKey:
        names = tuple(map(item.get, _NAMES))
        try:
            known = self._keys.get(names)
        except TypeError:  # a list or an object, where a text should be
            return _read_key(item)
        if known is None:
            known = _read_key(item)
            if sum(len(name) for name in names if isinstance(name, str)) < LONGEST_PATH:
                if len(self._keys) >= _KEYS:
                    self._keys.clear()
                self._keys[names] = known
        return known


def _read_key(item: dict[str, Any]) -> SeriesKey:
    """The names of a series. Those that clients decide on are cut, never refused, for with them all would be lost."""
    host, method = _text(item, "host", True) or "*", (_text(item, "method", True) or "").upper()
    route, path = _text(item, "route"), _text(item, "path") or ""
    nowhere = host == "*" or method not in METHODS or not path.startswith("/")
    media = [storable(_text(item, name) or "", _LONGEST_MEDIA) for name in ("requestType", "responseType")]
    authentication = _one_of(item, "authentication", AUTHENTICATIONS)
    return SeriesKey(
        host=storable(host, LONGEST_HOST),
        method=method if method in METHODS else ANY_METHOD,
        route=storable(route, LONGEST_PATH) if route and host != "*" and method in METHODS else None,
        path="" if nowhere else storable(path, LONGEST_PATH),
        status=_status(item),
        media=(media[0], media[1]),
        authenticated=authentication != "none",
        auth_type=authentication,
        public=_one_of(item, "source", SOURCES) == "public",
    )


def _status(item: dict[str, Any]) -> int:
    status = item.get("status")
    if type(status) is int and (status == 0 or 100 <= status <= 599):
        return status
    raise TraceError("status", f"a whole number from 100 to 599, or 0, is expected, not {in_words(status)}")


def _latency(item: dict[str, Any], calls: int) -> Histogram:
    given = _object(item.get("latency"), "latency")
    try:
        found = read_histogram(given)
    except ValueError as problem:
        raise TraceError("latency", str(problem)) from None
    width = 2.0**-found.scale
    if found.offset * width < -_OCTAVES or (found.offset + len(found.counts)) * width > _OCTAVES:
        raise TraceError("latency", f"latencies below 2**{_OCTAVES} microseconds are expected")
    if found.count != calls:
        raise TraceError("latency", f"counts that add up to {calls} calls are expected, not to {found.count}")
    return found


def _actor(item: dict[str, Any]) -> tuple[tuple[str, str], Counts]:
    """There are many: all is looked at at once, and only what is wrong one by one."""
    kind, value, counts = item.get("kind"), item.get("value"), tuple(map(item.get, _ACTOR_COUNTS))
    calls, client_errors, server_errors, blocked = counts
    if (
        kind in ACTOR_KINDS
        and type(value) is str
        and type(calls) is type(client_errors) is type(server_errors) is type(blocked) is int
        and 0 <= client_errors <= calls <= _CALLS
        and 0 <= server_errors <= calls
        and 0 <= blocked <= calls
    ):
        return (str(kind), value[:_LONGEST_ACTOR]), counts  # type: ignore[return-value]
    _one_of(item, "kind", ACTOR_KINDS)  # one of these raises
    _text(item, "value", True)
    most = _number(item, "calls", 0, _CALLS)
    return ("", ""), tuple(_number(item, name, 0, most) for name in _ACTOR_COUNTS)


def _object(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise TraceError(where, f"an object is expected, not {in_words(value)}")


def _each(holder: dict[str, Any], name: str, most: int, read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """What `read` makes of each item of a list; it raises with the place within the item."""
    value = holder.get(name)
    if not isinstance(value, list):
        raise TraceError(name, f"a list is expected, not {in_words(value)}")
    if len(value) > most:
        raise TraceError(name, f"at most {most} are expected, not {len(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise TraceError(f"{name}[{index}]", f"an object is expected, not {in_words(item)}")
        try:
            yield read(item)
        except TraceError as problem:
            raise TraceError(f"{name}[{index}].{problem.where}", problem.reason) from None


def _number(holder: dict[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = holder.get(name, default)
    if type(value) is int and least <= value <= most:
        return value
    raise TraceError(name, f"a whole number from {least} to {most} is expected, not {in_words(value)}")


def _text(holder: dict[str, Any], name: str, needed: bool = False) -> str | None:
    value = holder.get(name)
    if isinstance(value, str) or (value is None and not needed):
        return value
    raise TraceError(name, f"a text{'' if needed else ' or null'} is expected, not {in_words(value)}")


def _one_of(holder: dict[str, Any], name: str, words: tuple[str, ...]) -> str:
    value = holder.get(name)
    if isinstance(value, str) and value in words:
        return value
    raise TraceError(name, f"one of {', '.join(words)} is expected, not {in_words(value)}")
