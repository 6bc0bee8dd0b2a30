"""The beginning of a request body for the rules, before the app runs, which then reads it as if nobody had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metlo_otel.capture.arrived import arrived, reads_anywhere
from metlo_otel.capture.streams import TeeInput
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard

NOT_IN_TIME = "read_ahead_wait"  # of the body more is to come, for which READ_AHEAD_WAIT was not long enough
NOT_ASKED_FOR = "expect_continue"  # the client sends the body when it is asked to, which is for the app to do


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

    def __call__(self, limit: int) -> None:
        stream = self._stream
        if not isinstance(stream, TeeInput) or self._exchange.request_body.size:
            return
        length = self._length()
        if not self._environ.get("wsgi.input_terminated"):
            if length is None:
                return  # reading past the end of such a body waits for the client for ever
            limit = min(limit, length)
        if stream.seekable_behind or not self._looked(stream, length, limit):
            if not reads_anywhere(stream):
                stream.ahead(limit)
            elif not stream.ahead_within(limit, self._wait, length or 0):
                self._exchange.incomplete += (NOT_IN_TIME,)

    def _looked(self, stream: TeeInput, length: int | None, limit: int) -> bool:
        """Whether all is done that may be."""
        found = self._guard.run(arrived, stream, length, limit, self._wait)
        expects: bool = self._environ.get("HTTP_EXPECT", "").strip().lower() == "100-continue"
        if found is None:
            if expects:  # such a server asks for the body at the first reading
                self._exchange.incomplete += (NOT_ASKED_FOR,)
            return expects
        if found.problem is not None:
            stream.failing(len(found.data), found.problem)
        stream.looked(found.data)
        if found.awaited:
            self._exchange.incomplete += (NOT_ASKED_FOR if expects else NOT_IN_TIME,)
        return True

    def _length(self) -> int | None:
        length = str(self._environ.get("CONTENT_LENGTH") or "")  # a number in some test clients
        return int(length) if length.isdecimal() else None
