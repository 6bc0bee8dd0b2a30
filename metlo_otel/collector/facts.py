"""What is learnt of endpoints and their fields: types, classes, media types, what may be missing, and flags."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import orjson
from sqlalchemy import Connection, delete, select

from metlo_otel.collector.database import insert_new
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.learnt import Fact, Learnt, parent, stand
from metlo_otel.collector.schema import FACTS
from metlo_otel.collector.sums import SeriesKey, Summed
from metlo_otel.collector.trace import Trace

MAX_FACTS = 2_000  # of one endpoint; beyond, the least valuable are forgotten
_CROWDED = MAX_FACTS // 4  # facts from which it is noted when fields are seen
_ENDPOINTS = 2_000  # whose facts are remembered
_SHAPES = 256  # of one endpoint that are remembered to hold nothing new
_TYPES = frozenset(("string", "number", "integer", "boolean", "null", "object", "array", "unknown"))
_SECTIONS = ("reqPath", "reqQuery", "reqHeaders", "reqBody", "resHeaders", "resBody")
_LONGEST_KEY, _LONGEST_NAME = 512, 128
PROXY_HEADERS = frozenset(
    (
        *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "x-original-forwarded-for"),
        *(
            "x-real-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-remote-ip",
            "x-remote-addr",
            "x-envoy-external-address",
        ),
        *("cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "true-client-ip", "fastly-client-ip"),
        *("x-azure-clientip", "x-azure-socketip", "x-appengine-user-ip", "fly-client-ip", "do-connecting-ip"),
    )
)

_Lesson = tuple[int, int, int, Callable[[], Iterable["Fact"]]]  # endpoint, shape, status, and what is told


class Facts:
    """Learns from traces and remembers what the database knows already."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Learnt] = OrderedDict()

    def forget(self) -> None:
        """Believe nothing of what was remembered."""
        self._known.clear()

    def learn(self, connection: Connection, found: Iterable[tuple[int, Trace]], now: int) -> dict[int, list[Fact]]:
        """Keep what the traces tell that is new; returns it by endpoint."""
        told = ((endpoint, _shape(trace), trace.status, partial(_told, trace)) for endpoint, trace in found)
        return self._learn(connection, told, now)

    def learn_sums(
        self, connection: Connection, found: Iterable[tuple[int, Summed]], now: int
    ) -> dict[int, list[Fact]]:
        """The same of calls that were summed up."""
        told = ((endpoint, each.shape, each.key.status, partial(_told_by, each)) for endpoint, each in found)
        return self._learn(connection, told, now)

    def _learn(self, connection: Connection, found: Iterable[_Lesson], now: int) -> dict[int, list[Fact]]:
        new: dict[int, list[Fact]] = {}
        for endpoint, shape, status, tell in found:
            known = self._known.get(endpoint) or self._recall(connection, endpoint)
            keys = known.shapes.get(shape)
            if keys is None:
                told = list(dict.fromkeys(tell()))
                keys = tuple({fact.key: None for fact in told if fact.key})
                if fresh := _fresh(known, told, status):
                    fresh = self._make_room(connection, endpoint, fresh, new)
                    known.add(fresh)
                    new.setdefault(endpoint, []).extend(fresh)
                if len(known.shapes) >= _SHAPES:
                    known.shapes.clear()
                known.shapes[shape] = keys
            if len(known.facts) > _CROWDED:
                known.see(keys)
        insert_new(connection, FACTS, [_row(endpoint, fact, now) for endpoint in sorted(new) for fact in new[endpoint]])
        return new

    def _make_room(
        self, connection: Connection, endpoint: int, fresh: list[Fact], new: dict[int, list[Fact]]
    ) -> list[Fact]:
        """Forget the least valuable fields of an endpoint that has as many facts as it may have. Returns those of the
        `fresh` facts that are not about what was forgotten.
        """
        known = self._known[endpoint]
        if len(known.facts) + len(fresh) <= MAX_FACTS:
            return fresh
        gone = known.make_room(max(len(fresh), MAX_FACTS // 20))
        for start in range(0, len(gone), 500):
            keys = gone[start : start + 500]
            connection.execute(delete(FACTS).where(FACTS.c.endpoint_id == endpoint, FACTS.c.key.in_(keys)))
        if endpoint in new:  # learnt just now, and not written yet
            new[endpoint] = [fact for fact in new[endpoint] if fact in known.facts]
        there = known.seen.keys() | {fact.key for fact in fresh if fact.kind != "absent"}
        return [fact for fact in fresh if fact.key in there]

    def of(self, endpoint: int) -> set[Fact]:
        """All that is known of an endpoint that was just learnt of."""
        known = self._known.get(endpoint)
        return known.facts if known else set()

    def _recall(self, connection: Connection, endpoint: int) -> Learnt:
        while len(self._known) >= _ENDPOINTS:
            self._known.popitem(last=False)
        known = self._known[endpoint] = Learnt()
        known.add(read_facts(connection, endpoint, oldest_first=True))
        return known


def read_facts(connection: Connection, endpoint: int, oldest_first: bool = False) -> list[Fact]:
    """All facts of an endpoint, by key or from the one that was learnt first."""
    table = FACTS.c
    by = (table.key, table.status, table.kind, table.name)
    rows = select(*by).where(table.endpoint_id == endpoint).order_by(*([table.first_seen] if oldest_first else []), *by)
    return [Fact(*row) for row in connection.execute(rows)]


def _shape(trace: Trace) -> int:
    """A number for all that facts come from, so that a trace like one before is passed over at once."""
    flags = (
        trace.status,
        trace.blocked,
        trace.media,
        trace.authenticated,
        trace.auth_type,
        trace.scheme,
        trace.public,
    )
    return hash((flags, trace.attacks, orjson.dumps(trace.data_types), orjson.dumps(trace.sensitive)))


def _fresh(known: Learnt, told: Sequence[Fact], status: int) -> list[Fact]:
    listed = [*told, *_absent(known, told, status)]
    return [fact for fact in listed if fact not in known.facts][: MAX_FACTS // 2]


def _told(trace: Trace) -> Iterator[Fact]:
    """A blocked request did not reach the app, and its answer is none of the app's: it tells of neither."""
    if not trace.blocked:
        if trace.status:
            yield Fact("", trace.status, "answered", "")
        yield from _contents(trace)
    for flag in _flags(trace):
        yield Fact("", 0, "flag", flag)


def _contents(trace: Trace) -> Iterator[Fact]:
    for key, kinds in trace.data_types.items():
        for kind in kinds:
            if kind in _TYPES and _section(key) in _SECTIONS:
                yield Fact(_key(key), _status(key, trace), "type", kind)
    for key, classes in trace.sensitive.items():
        for name in classes if not _is_proxys(key) else ():
            yield Fact(_key(key), _status(key, trace), "class", storable(name, _LONGEST_NAME))
    yield from _media(trace.media, trace.status)


def _is_proxys(key: str) -> bool:
    """Whether a field is a header in which proxies tell who is behind them: no data of the endpoint's."""
    section, _, name = key.partition(".")
    return section == "reqHeaders" and name.lower() in PROXY_HEADERS


def _media(media: tuple[str, str], status: int) -> Iterator[Fact]:
    for section, given in zip(("reqBody", "resBody"), media, strict=True):
        if given and (status < 400 or section == "resBody"):
            name = storable(given.partition(";")[0].strip().lower(), _LONGEST_NAME)
            yield Fact(section, status if section == "resBody" else 0, "media", name)


def _flags(call: Trace | SeriesKey) -> Iterator[str]:
    if call.public:
        yield "public"
    if 0 < call.status < 400 and call.authenticated is not None:
        yield "authenticated" if call.authenticated else "open"
    if call.auth_type == "basic":
        yield "basic"
    if isinstance(call, Trace):
        if call.scheme in ("http", "https"):
            yield call.scheme
        if call.attacks:
            yield "attacked"


def _told_by(summed: Summed) -> Iterator[Fact]:
    """The same of calls of which at least one was not blocked, or all were."""
    key = summed.key
    if summed.calls > summed.blocked:
        yield Fact("", key.status, "answered", "")
        yield from _media(key.media, key.status)
    for flag in _flags(key):
        yield Fact("", 0, "flag", flag)


def _absent(known: Learnt, told: Sequence[Fact], status: int) -> list[Fact]:
    """What one of `known` and `told` has and the other lacks, which has what it would stand in, and was not missing
    yet. Where agents do not report the request's side (status 400 and above) nothing is missing there.
    """
    found: list[Fact] = []
    now: dict[int, set[str]] = {}
    for fact in told:
        stand(now, fact)
    for place in (status,) if status >= 400 else (0, status):
        have, had = now.get(place), known.nodes.get(place)
        if have and had:
            before = known.absent.get(place, set())
            for nodes, others in ((have, had), (had, have)):
                missing = sorted(key for key in nodes - others - before if parent(key) in others or not parent(key))
                found += [Fact(key, place, "absent", "") for key in missing]
    return found


def _section(key: str) -> str:
    return key.partition(".")[0]


def _status(key: str, trace: Trace) -> int:
    return trace.status if key.startswith("res") else 0


def _key(key: str) -> str:
    return storable(key, _LONGEST_KEY)


def _row(endpoint: int, fact: Fact, now: int) -> dict[str, object]:
    named = {"key": fact.key, "status": fact.status, "kind": fact.kind, "name": fact.name}
    return {"endpoint_id": endpoint, **named, "first_seen": now}
