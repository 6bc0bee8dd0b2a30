"""HTTP connections of `requests` whose sockets can be shut from another thread, which ends a wait for an answer."""

from __future__ import annotations

import socket
import weakref
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Sockets:
    """The sockets that a session has open; keeps none of them alive."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def of(self, session: requests.Session) -> None:
        """Have all connections that `session` opens from now on noted."""
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(self))

    def note(self, opened: Any) -> None:
        """Note a socket that was connected; one that is another kind of object is left out."""
        if isinstance(opened, socket.socket):
            self._open.add(opened)

    def shut(self) -> None:
        """Whoever reads from one of them is told that it has ended."""
        for opened in list(self._open):
            with suppress(OSError):  # it is closed
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # that of TLS would take away what is being read


class _Adapter(HTTPAdapter):
    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = self._pools()
        return manager

    def _pools(self) -> dict[str, Any]:
        return {
            "http": _noting(HTTPConnectionPool, self._sockets),
            "https": _noting(HTTPSConnectionPool, self._sockets),
        }


def _noting(pool: Any, sockets: Sockets) -> Any:
    """A kind of pool whose connections note their sockets."""

    class Noted(pool.ConnectionCls):  # type: ignore[misc]  # which of the two is known when this runs
        def connect(self) -> None:
            super().connect()
            sockets.note(self.sock)

    return type(pool.__name__, (pool,), {"ConnectionCls": Noted})
