"""Any WSGI app (PEP 3333), captured: what the app reads and sends is teed as it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from metlo_otel.capture.gate import Gate
from metlo_otel.capture.streams import teed
from metlo_otel.core.current import CARRIED, current_exchange
from metlo_otel.core.exchange import Body, Exchange
from metlo_otel.core.rejection import Rejection
from metlo_otel.core.request import EnvironRequest

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
AtResponse = Callable[[Exchange, Environ], None]
Decide = Callable[[Exchange, Environ], WSGIApp | None]

_ENDLESS = 1 << 62


class WSGICapture:
    """Wraps `app`; `at_response` is called once a request, in its own context, when the status is known.

    `decide` is asked before the app: what it returns is run in the app's place.
    """

    def __init__(
        self, app: WSGIApp, gate: Gate, at_response: AtResponse | None = None, decide: Decide | None = None
    ) -> None:
        self._app = app
        self._gate = gate
        self._at_response = at_response
        self._decide = decide

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exchange = self._gate.guard.run(self._open, environ)
        if exchange is None:
            return self._app(environ, start_response)
        token = current_exchange.set(exchange)
        result = None
        try:
            instead = None
            if self._decide is not None and self._gate.decides:
                instead = self._gate.guard.run(self._decide, exchange, environ)
            result = (instead or self._app)(environ, partial(self._start, exchange, environ, start_response))
        finally:
            current_exchange.reset(token)
            if result is None:
                self._failed(exchange, environ)
        return self._gate.guard.run(self._tee, exchange, environ, result) or result

    def _open(self, environ: Environ) -> Exchange | None:
        exchange = self._gate.open(EnvironRequest(environ))
        environ[CARRIED] = exchange
        if exchange is not None:
            self._gate.join(exchange)
            wrapper = environ.get("wsgi.file_wrapper")
            if wrapper is not None and not isinstance(wrapper, type):
                environ["wsgi.file_wrapper"] = _NotingWrapper(wrapper)
            if may_have_body(environ):
                environ["wsgi.input"] = teed(environ["wsgi.input"], exchange.request_body)
        return exchange

    def _start(
        self,
        exchange: Exchange,
        environ: Environ,
        start_response: StartResponse,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,
    ) -> Callable[[bytes], object]:
        write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
        self._gate.guard.run(self._started, exchange, environ, status, headers)
        return partial(_written, exchange.response_body, write)

    def _started(self, exchange: Exchange, environ: Environ, status: str, headers: list[tuple[str, str]]) -> None:
        exchange.response_headers = headers.copy()
        exchange.status = int(status[:3])
        if self._at_response is not None:
            self._at_response(exchange, environ)

    def _failed(self, exchange: Exchange, environ: Environ) -> None:
        """The app raised: the server answers 500, whatever start_response was told, unless some was written already."""
        if not exchange.response_body.size:
            heard, exchange.status, exchange.response_headers = exchange.status, 500, ()
            if not heard and self._at_response is not None:
                self._gate.guard.run(self._at_response, exchange, environ)
        exchange.close()

    def _tee(self, exchange: Exchange, environ: Environ, result: Iterable[bytes]) -> Iterable[bytes]:
        if type(result) in (list, tuple):
            for chunk in result:
                exchange.response_body.add(chunk)
            exchange.close()
            return result
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, _NotingWrapper):
            is_file = result is wrapper.made
        else:
            is_file = isinstance(wrapper, type) and isinstance(result, wrapper)
        if is_file:
            return _closing_file(result, exchange)
        tee = _SizedOutput if hasattr(type(result), "__len__") else TeeOutput
        return tee(result, exchange, self._gate)


def _written(body: Body, write: Callable[[bytes], object], data: bytes) -> object:
    body.add(data)
    return write(data)


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


def _saying(starts: list[tuple[Any, ...]], body: list[bytes]) -> WSGIApp:
    ((status, headers, *_),) = starts

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001 - what a WSGI app takes
        start_response(status, headers)
        return body

    return app


class TeeOutput:
    """A response's iterable: each chunk is noted and handed on at once."""

    __slots__ = ("_body", "_exchange", "_gate", "_next", "_result", "_whole")

    def __init__(self, result: Iterable[bytes], exchange: Exchange, gate: Gate) -> None:
        self._result = result
        self._exchange = exchange
        self._gate = gate
        self._body = exchange.response_body
        self._next = iter(result).__next__
        self._whole = -1  # bytes that the whole response has, which are looked up when the first chunk is there

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except StopIteration:
            self._exchange.close()
            raise
        self._body.add(chunk)
        if self._body.size >= self._whole:
            self._gate.guard.run(self._reached)
        return chunk

    def _reached(self) -> None:
        """Close at the response's Content-Length; its headers are there by the first chunk, as PEP 3333 has it."""
        if self._whole < 0:
            self._whole = _ENDLESS
            length = content_length(self._exchange.response_headers)
            if length is None:
                self._gate.streaming(self._exchange)
            else:
                self._whole = length
        if self._body.size >= self._whole:
            self._exchange.close()

    def close(self) -> None:
        """Close the app's iterable, then the exchange."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            if not self._exchange.status:
                self._exchange.status = 500  # ended before start_response was called: the server answers for it
            self._exchange.close()


class _SizedOutput(TeeOutput):
    """One that says how many chunks there are, where the app's iterable does: servers compute a length from it."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # asked for only where it has a length


class _NotingWrapper:
    """A server's `wsgi.file_wrapper` that is a function (uWSGI's): it remembers what it made, to be known again."""

    __slots__ = ("_wrap", "made")

    def __init__(self, wrap: Callable[..., Any]) -> None:
        self._wrap = wrap
        self.made: Any = None

    def __call__(self, *args: Any) -> Any:
        self.made = self._wrap(*args)
        return self.made


def _closing_file(result: Any, exchange: Exchange) -> Iterable[bytes]:
    """A file that the server may send by itself (`sendfile`): it must get the very same object back.

    Its bytes are not seen; its size is known from Content-Length. Only its end is listened for.
    """
    close = getattr(result, "close", None)

    def closing() -> None:
        try:
            if close is not None:
                close()
        finally:
            exchange.close()

    try:
        result.close = closing
    except (AttributeError, TypeError):  # a server's own C type: its end cannot be heard
        exchange.close()
    return result  # type: ignore[no-any-return]  # the server's own wrapper


def may_have_body(environ: Environ) -> bool:
    """Whether the request says that it has a body; in HTTP/2 and later one need not say so."""
    length = environ.get("CONTENT_LENGTH")
    if length and length != "0":
        return True
    return "HTTP_TRANSFER_ENCODING" in environ or (not length and environ.get("SERVER_PROTOCOL", "") >= "HTTP/2")


def content_length(headers: Iterable[tuple[Any, Any]]) -> int | None:
    """What the response's headers say that it has; None where they do not."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            return int(value) if value.isdecimal() else None
    return None
