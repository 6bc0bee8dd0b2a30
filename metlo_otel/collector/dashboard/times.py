"""The time that pages show: a span that ends now, or one between two moments, kept in the addresses of pages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from starlette.requests import Request

PRESETS = {"15m": 15, "1h": 60, "6h": 360, "24h": 1_440, "7d": 10_080, "30d": 43_200, "all": None}
"""What can be chosen, in minutes up to now."""

PARAMETERS = ("range", "from", "to")
ZONES = ("local", "utc")
_LONGEST_CHART = 90 * 1_440  # minutes that "all" has in a chart, for which counts are kept
_MINUTE = 60_000  # milliseconds


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to before `until`, milliseconds since the epoch, None where it is open. `preset` is empty between
    two moments; `carried` is what links to other pages take with them, empty where nothing was chosen.
    """

    since: int | None
    until: int | None
    preset: str
    carried: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def linked(self) -> dict[str, str]:
        """What a link takes that means this very span, chosen or not."""
        return dict(self.carried) or {"range": self.preset}

    @property
    def bounds(self) -> dict[str, str]:
        """The same as parameters of a question."""
        named = {"since": self.since, "until": self.until}
        return {name: str(moment) for name, moment in named.items() if moment is not None}

    def drawn(self) -> tuple[int, int]:
        """Beginning and end of a chart, in milliseconds."""
        end = self.until if self.until is not None else int(time.time() * 1000)
        begin = self.since if self.since is not None else end - _LONGEST_CHART * _MINUTE
        return max(begin, 0), max(end - 1, begin, 0) if self.until is not None else end


def read_span(request: Request, usual: str = "all") -> Span:
    """The span that a page's address asks for; `usual`, and what is wrong, where it asks for none that there is."""
    asked = request.query_params
    first, last = asked.get("from", asked.get("since", "")), asked.get("to", asked.get("until", ""))
    try:
        if first.strip() or last.strip():
            return _between(first.strip(), last.strip())
        if chosen := asked.get("range", ""):
            return _up_to_now(chosen, {"range": chosen})
    except ValueError as problem:
        found = _up_to_now(usual, {})
        return Span(found.since, found.until, usual, {}, f"{problem}; shown is {usual}")
    return _up_to_now(usual, {})


def _up_to_now(preset: str, carried: Mapping[str, str]) -> Span:
    if preset not in PRESETS:
        raise ValueError(f"a time is expected that is one of {', '.join(PRESETS)}, not {preset[:40]!r}")
    minutes = PRESETS[preset]
    since = None if minutes is None else int(time.time() * 1000) - (minutes - 1) * _MINUTE
    return Span(since, None, preset, carried)


def _between(first: str, last: str) -> Span:
    since, until = read_moment(first), read_moment(last)
    if since is not None and until is not None and since >= until:
        raise ValueError("a time begins before it ends")
    told = {"from": since, "to": until}
    return Span(since, until, "", {name: str(moment) for name, moment in told.items() if moment is not None})


def read_moment(text: str) -> int | None:
    """Milliseconds since the epoch of such a number or of an ISO 8601 moment, in UTC unless it says otherwise; None for
    no text. Raises ValueError.
    """
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return max(int(zoned.timestamp() * 1000), 0)
    except (ValueError, OverflowError):
        raise ValueError(f"a moment such as 2026-05-01T13:30, in UTC, is expected, not {text[:40]!r}") from None


def zone_of(request: Request) -> str:
    """In which zone a browser asked to be told times."""
    zone = request.cookies.get("metlo_zone", "")
    return zone if zone in ZONES else "local"
