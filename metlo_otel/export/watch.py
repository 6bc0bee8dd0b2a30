"""What becomes of an exchange at its close, in the request's own thread: counted, checked, and told of or let go.

An ordinary request costs a tuple, a few look-ups and a share of one search through the text of several, and leaves
nothing behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.aggregates import Aggregates
from metlo_otel.core.exchange import PASS, Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.settings import Settings
from metlo_otel.export.release import Release
from metlo_otel.export.series import AllSeries, Series
from metlo_otel.export.wire import sendable_path

Suspects = Callable[[Exchange, bool], bool]
"""Whether anything in a request may be an attack; told whether it has a Content-Encoding."""

SuspectsAmong = Callable[[Sequence[Exchange]], bool]
"""Whether anything in several requests, none of which has a Content-Encoding, may be an attack."""

_TOGETHER = 16  # exchanges that are searched through at once
_APART = 10_000_000  # nanoseconds between two ends, after which nothing waits for a third
_LARGE = 16_384  # bytes of a body whose search is worth one of its own
_MOST_ADDRESSES = 4096  # that are remembered
_NEW_SHAPES = 50  # told of in a second
_SAMPLE = 10  # of one series told of in a second, whatever may be afforded
_ERRORS = 5  # of one series told of in a second
_TELLING_COST = 0.001  # seconds of CPU time that a trace takes from its reading to its sending, about


class Watch:
    """Counts exchanges into `aggregates` under the configuration in force, where its collector takes them.

    `counts` says whether it does. `tick` is to be called once a second. With `among`, exchanges that follow each other
    closely wait to be searched through together: `due` says that it is time to look().
    """

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        aggregates: Aggregates,
        suspects: Suspects,
        among: SuspectsAmong | None = None,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._aggregates = aggregates
        self._suspects = suspects
        self._among = among
        self._unsearched: deque[Exchange] = deque()
        self._together = _TOGETHER
        self._last_end = 0
        self.due = False
        self._proxies = settings.trusted_proxies
        self._by_peer = not (self._proxies.ranges or self._proxies.unix)
        self._affordable = settings.analysis_budget / 100 / _TELLING_COST  # traces a second
        self._sources: dict[str, str] = {}
        self._given: dict[int, int] = {}
        self._fair = 1
        self._new_left = _NEW_SHAPES
        self._left = self._first_left = self._affordable
        self.counts = False
        self.configure(AgentConfig())

    def configure(self, config: AgentConfig) -> None:
        """Count, and decide what is told of, by another configuration."""
        self._release = Release(config, self._settings)
        self._series = AllSeries(config, self._release, self._guard)
        self._everything = config.full_capture
        self.counts = config.aggregates

    def tick(self) -> None:
        """Another second: share out what may be told in it among the series of the last one."""
        given, self._given = self._given, {}
        self._fair = min(max(1, int(self._affordable / max(len(given), 1))), _SAMPLE)
        self._new_left = _NEW_SHAPES
        self._left = self._first_left = self._affordable

    def tells(self, exchange: Exchange) -> bool | str:
        """Count a closed exchange; whether to tell of it now, or in a word why nothing at all may be told."""
        request = exchange.request
        address = request.address if self._by_peer else self._proxies.client(request)
        source = self._sources.get(address) or self._source(address)
        outline = request.outline()
        series = self._series.find(exchange, outline, source)
        if series.withheld or series.narrows:
            paths = sendable_path(request.path), request.path
            reason = series.withheld or self._release.withheld_path(request.host, paths)
            if reason:
                return reason
        told = self._is_told(exchange, series, outline[4])
        exchange.summed = True
        self._aggregates.add(
            series.key,
            (exchange.ended - exchange.started) / 1000,
            exchange.request_body.size,
            exchange.response_body.size,
            exchange.verdict.blocked,
            address or None,
            told is False,
        )
        return told is True

    def forget(self) -> None:
        """In a forked process: what waits to be searched is the parent's."""
        self._unsearched.clear()
        self.due = False

    def look(self) -> Sequence[Exchange]:
        """Search through the exchanges that wait for it; those to be told of, the oldest first. For any thread."""
        self.due = False
        found: list[Exchange] = []
        with suppress(IndexError):  # another thread may take some as well
            while self._unsearched:
                found.append(self._unsearched.popleft())
        if not found:
            return ()
        suspected = self._guard.run(self._suspected, found) or []
        self._aggregates.add_alone(len(found) - len(suspected))
        return suspected

    def _suspected(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        """Where something is often found, what is searched together would be searched twice: fewer are from then on."""
        if self._among is not None and len(exchanges) > 1 and not self._among(exchanges):
            self._together = min(self._together + 1, _TOGETHER)
            return []
        suspected = []
        for exchange in exchanges:
            exchange.suspected = self._suspects(exchange, False)
            if exchange.suspected:
                suspected.append(exchange)
        several = len(exchanges) > 1
        self._together = self._together // 2 or 1 if several else min(self._together + 1, _TOGETHER)
        return suspected

    def _is_told(self, exchange: Exchange, series: Series, coded: bool) -> bool | None:
        """None: that is known after the next look()."""
        number = id(series)
        given = self._given.get(number, 0)
        if given < self._fair and self._may_have(given):
            self._given[number] = given + 1
            series.is_new = False
            return True
        if (
            self._everything
            or exchange.verdict is not PASS
            or exchange.attacks
            or exchange.incomplete
            or (series.is_new and self._is_new(series))
            or (series.wanted and series.wanted.found(sendable_path(exchange.request.path)))
        ):
            return True
        if exchange.status >= 500 and given < self._fair + _ERRORS:
            self._given[number] = given + 1
            return True
        if self._among is not None and not coded and exchange.request_body.size < _LARGE:
            self._unsearched.append(exchange)
            self.due = len(self._unsearched) >= self._together or exchange.ended - self._last_end > _APART
            self._last_end = exchange.ended
            return None
        exchange.suspected = self._suspects(exchange, coded)
        return exchange.suspected

    def _may_have(self, given: int) -> bool:
        """Whether there is room for one more of a series that was told of so often; for the first of each beside."""
        if given == 0 and self._first_left > 0:
            self._first_left -= 1
            return True
        self._left -= 1
        return self._left >= 0

    def _is_new(self, series: Series) -> bool:
        if self._new_left <= 0:
            return False
        self._new_left -= 1
        series.is_new = False
        return True

    def _source(self, address: str) -> str:
        if len(self._sources) >= _MOST_ADDRESSES:
            self._sources.clear()
        found = self._sources[address] = source_of(address)
        return found


def source_of(address: str) -> str:
    """Which of SOURCES a client's address is."""
    try:
        return "public" if ip_address(address.partition("%")[0]).is_global else "private"
    except ValueError:
        return "unknown"
