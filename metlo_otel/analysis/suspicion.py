"""Whether an exchange may be an attack, asked at its close in the request's own thread: one search, as a rule."""

from __future__ import annotations

from collections.abc import Sequence

from metlo_otel.analysis.attack_values import tells_in_header
from metlo_otel.analysis.detectors import tools
from metlo_otel.analysis.prefilter import Search, is_overlong, readable, searches, suspicious
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import BETWEEN, Known
from metlo_otel.reading.codings import codings, undo
from metlo_otel.reading.credentials import basic

_REMEMBERED = 4096  # values of headers
_LONGEST = 256  # bytes of one that is remembered as it is
_INFLATED = 65_536  # bytes of a packed body that are looked at
_VALUES_FOLLOW = b'\n"\x1f"'
_VALUES = b'"\x1f"'  # between two values of headers, each of which begins and ends there


class Suspicion:
    """Whether there is any sign of an attack in a request.

    Headers are full of signs: where there is one, each value is looked at for itself, and ordinary ones are remembered,
    since the same clients send the same values: they are left out from then on.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._ordinary: Known = {}, {}
        self._long: dict[int, None] = {}  # by their hash
        self._anything: Search | None = None

    def __call__(self, exchange: Exchange, coded: bool) -> bool:
        """Look at a closed exchange; `coded` says that its request has a Content-Encoding."""
        if not self._wanted:
            return False
        request, body = exchange.request, exchange.request_body.content()
        if coded and body:
            unpacked = undo(body, codings(request.header("content-encoding")), _INFLATED)
            if unpacked is None or unpacked[1]:
                return True
            body = unpacked[0]
        target, headers = request.text(self._ordinary)
        text, _ = readable(target, body)
        anything = self._anything or self._search()
        quoted = _quoted(headers)
        if not anything(b"%b\n%b%b" % (text, _VALUES, quoted)):  # each search gives the interpreter's lock away
            return is_overlong(text)
        return suspicious(target, body) or (anything(_VALUES + quoted) and self._tells_any(headers))

    def among(self, exchanges: Sequence[Exchange]) -> bool:
        """Whether there may be a sign in any of several closed exchanges, none of which has a Content-Encoding.

        RE2 gives the interpreter's lock away at each search, and its states are no longer in the CPU's cache after a
        request: so one search for all costs half of what one for each does. Paths and queries are searched apart, for a
        line that begins with a path is a sign in a body.
        """
        if not self._wanted:
            return False
        anything = self._anything or self._search()
        targets: set[bytes] = set()
        parts: list[bytes] = []
        for exchange in exchanges:
            target, headers = exchange.request.text(self._ordinary)
            targets.add(target)
            parts += (readable(b"", exchange.request_body.content())[0], _VALUES_FOLLOW, _quoted(headers))
        texts = [b"".join(parts), *[readable(target, b"")[0] for target in targets]]
        return any(anything(text) or is_overlong(text) for text in texts)

    def _search(self) -> Search:
        self._anything = searches()[1]
        return self._anything

    def _tells_any(self, headers: bytes) -> bool:
        return any(map(self._tells, headers.split(BETWEEN)))

    def _tells(self, raw: bytes) -> bool:
        if hash(raw) in self._long:
            return False
        value = raw.decode("utf-8", "replace")
        parts = [
            value,
            *(basic(value) or ()),
            *[part.partition("=")[2] for part in value.split(";", 64) if "=" in part],
        ]
        if any(tells_in_header(part) or any(tools.find_in_agent(part)) for part in parts):
            return True
        self._remember(raw, value)
        return False

    def _remember(self, raw: bytes, value: str) -> None:
        texts, raws = self._ordinary
        if len(raws) >= _REMEMBERED or len(self._long) >= _REMEMBERED:
            self._ordinary = {}, {}
            self._long = {}
        if len(raw) > _LONGEST:
            self._long[hash(raw)] = None
        else:
            texts[value] = raws[raw] = None


def _quoted(headers: bytes) -> bytes:
    return headers.replace(b'"', b"'").replace(BETWEEN, _VALUES)
