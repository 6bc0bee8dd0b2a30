"""The series that a request is counted in, remembered by what its server and app say word for word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.aggregates import Key
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.guessing import guess_template
from metlo_otel.core.matching import Patterns
from metlo_otel.core.record import METHODS
from metlo_otel.core.request import Outline
from metlo_otel.core.routes import template
from metlo_otel.export.release import Release
from metlo_otel.export.wire import host_of, sendable_path

_MOST = 4096  # remembered of each kind
_UNROUTED = (404, 405)
_LONGEST = 255  # characters of a host
_LONGEST_PATH = 1024
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,63}/[\w!#$&^.+-]{1,63}", re.ASCII)


class Series:
    """One key, and what is to be done with its requests.

    `withheld` says why nothing may be told of them, `narrows` that this depends on the path; `wanted` are the paths
    whose content is wanted, None where there are none. `is_new` says that none has been told of yet.
    """

    __slots__ = ("is_new", "key", "narrows", "wanted", "withheld")

    def __init__(self, key: Key, withheld: str | None, narrows: bool, wanted: Patterns | None) -> None:
        self.key = key
        self.withheld = withheld
        self.narrows = narrows
        self.wanted = wanted
        self.is_new = key.is_genuine


class AllSeries:
    """Finds the series of exchanges under one configuration. Used by any thread: a race costs one look more."""

    def __init__(self, config: AgentConfig, release: Release, guard: Guard) -> None:
        self._release = release
        self._guard = guard
        self._sessions = config.authentication
        self._by_raw: dict[Any, Series] = {}
        self._by_key: dict[Key, Series] = {}

    def find(self, exchange: Exchange, outline: Outline, source: str) -> Series:
        """The series of a closed exchange, with its request's outline, whose client's address is of this `source`."""
        route = exchange.route
        if route is not None and not isinstance(route, str):
            route = exchange.route = self._called(route)
        told = None
        for name, value in exchange.response_headers:
            if len(name) == 12 and name.lower() in ("content-type", b"content-type"):
                told = value
                break
        path = exchange.request.path if route is None and exchange.status not in _UNROUTED else None
        by = self._by_cookie_or_header(exchange) if self._sessions else None
        raw = (outline, route, path, exchange.status, told, source, by)
        return self._by_raw.get(raw) or self._made(raw, exchange, route, path, source, by, told)

    def _called(self, route: Callable[[], str | None]) -> str | None:
        found = self._guard.run(route)
        return found if isinstance(found, str) else None

    def _made(
        self, raw: Any, exchange: Exchange, route: str | None, path: str | None, source: str, by: str | None, told: Any
    ) -> Series:
        request = exchange.request
        _, _, kind, sent, _ = raw[0]
        known = template(route) if route is not None else None
        guessed = None
        if known is None and exchange.status not in _UNROUTED:
            guessed = guess_template(sendable_path(path if path is not None else request.path))[:_LONGEST_PATH]
        key = Key(
            host_of(request.host, request.server[0])[:_LONGEST],
            request.method.upper(),
            known,
            guessed,
            exchange.status,
            media_type(kind),
            media_type(told),
            by or _scheme(sent),
            source,
        )
        series = self._by_key.get(key) or self._new(key, request.host)
        _remember(self._by_raw, raw, series)
        return series

    def _new(self, key: Key, host: str) -> Series:
        withheld = "method" if key.method not in METHODS else None if 100 <= key.status <= 599 else "status"
        withheld = withheld or self._release.withheld_host(host)
        narrows, wanted = self._release.narrows(host), self._release.wanted(host, key.method)
        series = Series(key, withheld, narrows, wanted)
        _remember(self._by_key, key, series)
        return series

    def _by_cookie_or_header(self, exchange: Exchange) -> str | None:
        """How a request authenticates by a header or cookie that the backend knows its host by."""
        request = exchange.request
        host = request.host
        for each in self._sessions:
            if each.host != host:
                continue
            cookie = each.cookie_name if each.kind == "session_cookie" else None
            if cookie and any(f"{cookie}=" in value for value in request.header("cookie")):
                return "cookie"
            name = (each.header_key or "").lower()
            if name not in ("", "authorization") and request.header(name):
                return "other"
        return None


def media_type(raw: str | bytes | None) -> str | None:
    """A media type in lower case without parameters; None for what is none."""
    if not raw:
        return None
    text = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
    found = text[:256].partition(";")[0].strip().lower()
    return found if _MEDIA_TYPE.fullmatch(found) else None


def _scheme(raw: str | bytes | None) -> str:
    """Which of AUTHENTICATIONS the beginning of an Authorization header stands for."""
    if not raw:
        return "none"
    text = (raw.decode("latin-1") if isinstance(raw, bytes) else raw).lower()
    return "bearer" if text == "bearer" else "basic" if text == "basic " else "other"


def _remember(known: dict[Any, Series], key: Any, series: Series) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = series
