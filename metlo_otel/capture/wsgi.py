"""Any WSGI app (PEP 3333), captured: what the app reads and sends is teed as it passes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from metlo_otel.capture.gate import Gate
from metlo_otel.capture.streams import teed
from metlo_otel.capture.wsgi_late import Refusal, ReplaceableOutput, closed, refused
from metlo_otel.capture.wsgi_output import NotingWrapper, SizedOutput, TeeOutput, closing_file, unanswered
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard
from metlo_otel.core.late import LateDecision
from metlo_otel.core.nesting import carried, carry
from metlo_otel.core.rejection import Rejection
from metlo_otel.core.request import EnvironRequest

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
AtResponse = Callable[[Exchange, Environ], None]
Decide = Callable[[Exchange, Environ], WSGIApp | None]
Refuse = Callable[[Exchange, Environ], WSGIApp | None]

_NO_CHUNKS = (bytes, bytearray, str)


class WSGICapture:
    """Wraps `app`; `at_response` is called once a request, in its own context, when the status is known.

    `decide` is asked before the app: what it returns is run in the app's place. Where it has left `exchange.late`, what
    `refuse` gives takes the place of the app's answer if the request is rejected later.
    """

    def __init__(
        self,
        app: WSGIApp,
        gate: Gate,
        at_response: AtResponse | None = None,
        decide: Decide | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._at_response = at_response
        self._decide = decide
        self._refuse: Refuse = _nothing if refuse is None else refuse

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        guard = self._gate.guard
        exchange = guard.run(self._open, environ)
        if exchange is None:
            return self._app(environ, start_response)
        token = current_exchange.set(exchange)
        has_answered = False
        try:
            try:
                decides = self._decide is not None and self._gate.decides
            except Exception as problem:  # noqa: BLE001 - as the guard does it, at no cost for each request
                guard.failed(self._instead, problem)
                decides = False
            instead = guard.run(self._instead, exchange, environ) if decides else None
            app = self._app if instead is None else instead
            result = app(environ, partial(self._start, exchange, environ, start_response))
            has_answered = True
        except Exception:
            if exchange.late is None or not exchange.late.refused:
                raise
            result, has_answered = (), True
        finally:
            current_exchange.reset(token)
            if not has_answered:
                guard.run(self._failed, exchange, environ)
        if exchange.late is not None:
            start = partial(self._start, exchange, environ, start_response)
            replaced = guard.run(self._replaceable, exchange, exchange.late, environ, start, result)
            if replaced is not None:
                result = replaced
            elif exchange.late.refused:
                result = refused(exchange.late, start)
        answer = guard.run(self._tee, exchange, environ, result)
        return result if answer is None else answer

    def _open(self, environ: Environ) -> Exchange | None:
        exchange = self._gate.open(EnvironRequest(environ), carried(environ))
        carry(environ, exchange)
        if exchange is not None:
            self._gate.join(exchange)
            wrapper = environ.get("wsgi.file_wrapper")
            if wrapper is not None and not isinstance(wrapper, type):
                environ["wsgi.file_wrapper"] = NotingWrapper(wrapper)
            stream = environ.get("wsgi.input")
            if stream is not None and may_have_body(environ):
                environ["wsgi.input"] = teed(stream, exchange.request_body)
        return exchange

    def _instead(self, exchange: Exchange, environ: Environ) -> WSGIApp | None:
        """What answers in the app's place."""
        if self._gate.awaits_rules:
            self._gate.wait_for_rules()
        return self._decide(exchange, environ) if self._decide is not None and self._gate.decides else None

    def _start(
        self, exchange: Exchange, environ: Environ, start_response: StartResponse, *args: Any, **kwargs: Any
    ) -> Any:
        """The server's own start_response is called as the app calls this, before anything is made of what it says."""
        late = exchange.late
        if late is not None and self._gate.guard.run(late.answers) is True:
            return _dropped
        write = start_response(*args, **kwargs)
        self._gate.guard.run(self._started, exchange, environ, (*args, *kwargs.values()) if kwargs else args)
        return write if write is None else partial(_written, self._gate.guard, exchange, write)

    def _started(self, exchange: Exchange, environ: Environ, said: tuple[Any, ...]) -> None:
        """Note what the answer begins with; headers that can be read once are the server's to read."""
        status, headers = said[:2]
        if type(headers) is list:  # as PEP 3333 has it
            exchange.response_headers = headers.copy()
        elif not isinstance(headers, Iterator):
            exchange.response_headers = list(headers)
        exchange.status = int(status[:3])
        if self._at_response is not None:
            self._at_response(exchange, environ)

    def _replaceable(
        self, exchange: Exchange, late: LateDecision, environ: Environ, start: Callable[..., Any], result: Any
    ) -> Any:
        """What the app has returned, or the rejection; what may read the body when it is iterated can still become it.

        A file that the server sends by itself, and what is there, read nothing more.
        """
        refusal = Refusal(late, self._gate.guard, partial(self._refuse, exchange, environ), environ, start)
        if late.refused:
            self._gate.guard.run(closed, result)
            return refusal()
        if late.decided or result is None or isinstance(result, (list, tuple, *_NO_CHUNKS)):
            return result
        if _is_file(environ.get("wsgi.file_wrapper"), result):
            return result
        return ReplaceableOutput(result, late, self._gate.guard, refusal)

    def _failed(self, exchange: Exchange, environ: Environ) -> None:
        """The app raised: the server answers 500, whatever start_response was told, unless some was written already."""
        if not exchange.status and isinstance(
            sys.exc_info()[1], StopIteration
        ):  # how gunicorn is told to leave it alone
            exchange.status = unanswered(exchange)
        elif not exchange.response_body.size:
            heard, exchange.status, exchange.response_headers = exchange.status, 500, ()
            if not heard and self._at_response is not None:
                self._gate.guard.run(self._at_response, exchange, environ)
        exchange.close()

    def _tee(self, exchange: Exchange, environ: Environ, result: Iterable[bytes]) -> Iterable[bytes] | None:
        """What the server gets; None for the result as it is."""
        if type(result) in (list, tuple):
            for chunk in result:
                exchange.response_body.add(chunk)
            exchange.status = exchange.status or unanswered(exchange)
            exchange.close()
            return None
        if isinstance(result, _NO_CHUNKS) or result is None:  # what a server makes of it is its own affair
            exchange.response_body.add(result)  # which ignores what is not bytes
            exchange.status = exchange.status or unanswered(exchange)
            exchange.close()
            return None
        if _is_file(environ.get("wsgi.file_wrapper"), result):
            return closing_file(result, exchange, self._gate)
        tee = SizedOutput if hasattr(type(result), "__len__") else TeeOutput
        return tee(result, exchange, self._gate)


def _written(guard: Guard, exchange: Exchange, write: Callable[..., object], *args: Any, **kwargs: Any) -> object:
    late = exchange.late
    if late is not None:
        if late.refused:
            return None
        late.begun = True
    guard.run(exchange.response_body.add, next(iter((*args, *kwargs.values())), b""))
    return write(*args, **kwargs)


def _nothing(_exchange: Exchange, _environ: Environ) -> None:
    """What takes the place of an answer where nobody has said."""


def _dropped(*_: Any) -> None:
    """The `write` of an answer that is replaced."""


def answering(rejection: Rejection) -> WSGIApp:
    """A WSGI app that answers with `rejection`."""
    return _saying([(rejection.line, list(rejection.headers))], [rejection.body])


def rehearsed(app: WSGIApp, environ: Environ) -> WSGIApp:
    """A WSGI app that gives the whole answer that `app` gives to this request. Raises what `app` raises."""
    starts: list[tuple[Any, ...]] = []
    body: list[bytes] = []

    def starting(*start: Any) -> Callable[[bytes], object]:
        starts.append(start)
        return body.append

    result = app(environ, starting)
    try:
        body += result
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    return _saying(starts[-1:], body)


def _is_file(wrapper: object, result: object) -> bool:
    """Whether the server may send `result` by itself."""
    if isinstance(wrapper, NotingWrapper):
        return result is wrapper.made
    return isinstance(wrapper, type) and isinstance(result, wrapper)


def _saying(starts: list[tuple[Any, ...]], body: list[bytes]) -> WSGIApp:
    ((status, headers, *_),) = starts

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001 - what a WSGI app takes
        start_response(status, headers)
        return body

    return app


def may_have_body(environ: Environ) -> bool:
    """Whether the request says that it has a body; in HTTP/2 and later one need not say so."""
    length = environ.get("CONTENT_LENGTH")
    if length and length != "0":
        return True
    return "HTTP_TRANSFER_ENCODING" in environ or (not length and (environ.get("SERVER_PROTOCOL") or "") >= "HTTP/2")
