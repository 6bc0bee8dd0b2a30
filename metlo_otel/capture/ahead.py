"""The beginning of a request body for the rules, before the app runs, which then reads it as if nobody had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metlo_otel.capture.arrived import arrived, reads_anywhere
from metlo_otel.capture.streams import TeeInput
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision

NOT_IN_TIME = "read_ahead_wait"  # of the body more is to come, for which READ_AHEAD_WAIT was not long enough
NOT_ASKED_FOR = "expect_continue"  # the client sends the body when it is asked to, which is for the app to do
NOT_ANNOUNCED = ""  # nothing says that there is one, so that it is no fact that it was not looked at
_MOST_DIGITS = 15  # of a length that is believed


def postponed(exchange: Exchange, reason: str, limit: int, told: str | None = None) -> LateDecision:
    """Have the body decided on when the app reads it, as far as `limit`; at its Content-Length, if it is `told`."""
    exchange.late = LateDecision(reason, exchange.request_body, limit, _number(told))
    return exchange.late


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= _MOST_DIGITS else None


class ReadAhead:
    """Called with a limit, it notes so many bytes of the body, as far as they have come or come within `wait` seconds.

    `stream` is what the app will read from; `environ` tells what the client has announced. On servers that let nobody
    look at what has come, reading waits for the client as long as the server does (uWSGI: its socket-timeout).
    """

    def __init__(
        self, exchange: Exchange, environ: Mapping[str, Any], stream: object, wait: float, guard: Guard
    ) -> None:
        self._exchange = exchange
        self._environ = environ
        self._stream = stream
        self._wait = wait
        self._guard = guard
        self._told = str(environ.get("CONTENT_LENGTH") or "")  # a number, of some test clients

    def __call__(self, limit: int) -> None:
        stream = self._stream
        if not isinstance(stream, TeeInput) or self._exchange.request_body.size:
            return
        length = _number(self._told)
        terminated = bool(self._environ.get("wsgi.input_terminated"))
        if length is None and (not terminated or reads_anywhere(stream)):
            # Reading past the end of such a body waits for ever. granian gives its pieces and tells nobody that there
            # should have been more, but to who asks for all at once: how it is read is the app's to say.
            self._leave(stream, NOT_IN_TIME, limit)
            return
        if length is not None and not terminated:
            limit = min(limit, length)
        if stream.seekable_behind or not self._looked(stream, length, limit):
            if not reads_anywhere(stream):
                stream.ahead(limit)
            elif not stream.ahead_within(limit, self._wait, length or 0):
                self._leave(stream, NOT_IN_TIME, limit)

    def _looked(self, stream: TeeInput, length: int | None, limit: int) -> bool:
        """Whether all is done that may be."""
        found = self._guard.run(arrived, stream, length, limit, self._wait)
        expects: bool = self._environ.get("HTTP_EXPECT", "").strip().lower() == "100-continue"
        if found is None:
            if expects:  # such a server asks for the body at the first reading
                self._leave(stream, NOT_ASKED_FOR, limit)
            return expects
        if found.problem is not None:
            stream.failing(len(found.data), found.problem)
        stream.looked(found.data)
        if found.awaited:
            self._leave(stream, NOT_ASKED_FOR if expects else NOT_IN_TIME, limit)
        return True

    def _leave(self, stream: TeeInput, reason: str, needed: int) -> None:
        """The body is decided on when the app reads it."""
        stream.deciding(postponed(self._exchange, reason, needed, self._told), self._guard)
