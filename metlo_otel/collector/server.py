"""Serving the collector: uvicorn with limits on every connection, in the foreground or on a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from metlo_otel.collector.api import make_app
from metlo_otel.collector.dashboard.access import Access
from metlo_otel.collector.dashboard.app import Options, dashboard_routes
from metlo_otel.collector.store import Store

_HEADERS = 65_536  # bytes of a request's line and headers; more is answered with 400
_HEADERS_TIME = 15.0  # seconds in which they must be here
_CONNECTIONS = 512  # open at once; more are answered with 503
_IDLE = 75  # seconds that a connection may wait for its next request
_END = 5  # seconds that requests have to finish in when the collector ends


class ListenError(Exception):
    """The address cannot be listened on; the text says which and why."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit on the time that a request's headers take."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_headers()
        else:
            self._got_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the beginning of the next request is here already
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._got_headers()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEADERS_TIME, self.transport.close)

    def _got_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on; port 0 means any free one. Raises ListenError."""
    try:
        # The protocol is named, for asyncio turns Nagle's delay off only on sockets that say they are TCP.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return _bind(*found[0])
    except (OSError, UnicodeError, OverflowError) as problem:
        raise ListenError(f"cannot listen on {host}:{port}: {problem}") from problem


def _bind(family: int, kind: int, protocol: int, _name: str, address: tuple[Any, ...]) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere the option would let another process take the port over
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(256)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL at which a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class TellingServer(uvicorn.Server):
    """uvicorn's server, which says when it answers."""

    on_ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()


def make_server(
    store: Store, access: Access, options: Options | None = None, proxies: Sequence[str] = ()
) -> TellingServer:
    """A server that is not running yet, its limits set; logging is left as it is. `proxies` are the networks whose word
    on a client's address and scheme is believed.
    """
    config = uvicorn.Config(
        make_app(store, dashboard_routes(store, access, options)),
        http=PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_END,
        h11_max_incomplete_event_size=_HEADERS,
    )
    return TellingServer(config)


def serve(server: TellingServer, *listening: socket.socket) -> None:
    """Serve on all these sockets until SIGINT or SIGTERM, in the main thread; what is being answered is finished."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run(sockets=list(listening))
    except KeyboardInterrupt:  # uvicorn ended in order and hands the signal on
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


class RunningCollector:
    """A collector on a thread of its own, on any free port of the loopback; use it with `with`."""

    def __init__(
        self,
        where: str,
        key: str,
        password: str | None = None,
        read_key: str | None = None,
        options: Options | None = None,
        proxies: Sequence[str] = (),
    ) -> None:
        self.key, self.read_key = key, read_key
        self.store = Store(where)
        self.store.ensure_key(key)
        if read_key is not None:
            self.store.ensure_read_key(read_key)
        access = Access(self.store)
        self.password = access.ensure_password(password) or password
        self._socket = listen("127.0.0.1", 0)
        self.url = url_of(self._socket)
        self.store.public = options.public if options and options.public else self.url
        self._server = make_server(self.store, access, options, proxies)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="metlo-otel-collector")

    def __enter__(self) -> RunningCollector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.store.close()
