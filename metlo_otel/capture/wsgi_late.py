"""What a WSGI app answers to a request that is rejected while it reads the body, and what takes the place of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from metlo_otel.capture.late import ClientGoneError
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision


class Refusal:
    """Called once, it answers with the rejection that `make` gives, a WSGI app; where that fails, as refused() does.

    `start` is start_response, which the app may have called, though nothing was sent.
    """

    def __init__(
        self,
        late: LateDecision,
        guard: Guard,
        make: Callable[[], Any],
        environ: dict[str, Any],
        start: Callable[..., object],
    ) -> None:
        self._late = late
        self._guard = guard
        self._make = make
        self._environ = environ
        self._start = start

    def __call__(self) -> Iterable[bytes]:
        self._late.refused = False  # what is said from here on is sent
        answer: Iterable[bytes] | None = self._guard.run(self._answer)
        return refused(self._late, self._start) if answer is None else answer

    def _answer(self) -> Any:
        return self._make()(self._environ, self._begin)

    def _begin(self, status: str, headers: list[tuple[str, str]], *_: Any) -> object:
        anew = ClientGoneError, ClientGoneError(), None  # as exc_info: the app may have begun an answer (PEP 3333)
        return self._start(status, list(headers), anew)


def refused(late: LateDecision, start: Callable[..., object]) -> Iterable[bytes]:
    """A bare 403: the app, whose client is gone, has nothing to say."""
    late.refused = False
    start("403 Forbidden", [("Content-Length", "0")], (ClientGoneError, ClientGoneError(), None))
    return ()


def closed(result: Any) -> None:
    """Close what an app has returned, which is not sent."""
    close = getattr(result, "close", None)
    if close is not None:
        close()


class ReplaceableOutput:
    """What an app has returned, which may read the body while it is iterated.

    Once the request is rejected `refusal` takes its place, unless some of it was sent.
    """

    def __init__(
        self, result: Iterable[bytes], late: LateDecision, guard: Guard, refusal: Callable[[], Iterable[bytes]]
    ) -> None:
        self._result = result
        self._late = late
        self._guard = guard
        self._refusal = refusal
        self._next: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._next is None:
                self._next = iter(self._result).__next__
            chunk = self._next()
        except Exception:
            if not self._late.refused:
                raise
            chunk = b""
        if self._late.refused:
            self._guard.run(closed, self._result)
            self._result = self._refusal()
            self._next = iter(self._result).__next__
            chunk = self._next()
        self._late.begun = True  # servers send the headers with an empty chunk too
        return chunk

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_result":
            raise AttributeError(name)
        return getattr(self._result, name)

    def close(self) -> None:
        """Close what is sent."""
        closed(self._result)
