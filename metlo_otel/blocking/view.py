"""One exchange and its client as rules see them: each part read once, and only when a rule asks."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from metlo_otel.blocking.addresses import pack
from metlo_otel.core.exchange import Exchange

Ask = Callable[[], str | None]

_NOT_READ = "\0not read"


def _nobody() -> None:
    return None


class Client:
    """Who sent a request: address, user and session key, each asked for at most once and only when needed.

    `ip`, `user` and `session` are functions, because finding out may cost (an app's own look-up, a hash);
    they answer None or an empty text where it is not known.
    """

    __slots__ = ("_ask_ip", "_ask_session", "_ask_user", "_ip", "_session", "_user")

    def __init__(self, ip: Ask, user: Ask = _nobody, session: Ask = _nobody) -> None:
        self._ask_ip = ip
        self._ask_user = user
        self._ask_session = session
        self._ip: str | None = _NOT_READ
        self._user: str | None = _NOT_READ
        self._session: str | None = _NOT_READ

    @property
    def ip(self) -> str | None:
        """The normalised address of the client."""
        if self._ip is _NOT_READ:
            self._ip = self._ask_ip()
        return self._ip

    @property
    def user(self) -> str | None:
        """The id of the user."""
        if self._user is _NOT_READ:
            self._user = self._ask_user()
        return self._user

    @property
    def session(self) -> str | None:
        """The unique session key."""
        if self._session is _NOT_READ:
            self._session = self._ask_session()
        return self._session


class View:
    """The parts of one exchange that conditions look at. A part that is missing has no values."""

    __slots__ = ("_body", "_headers", "_packed", "_parameters", "_path", "client", "exchange")

    def __init__(self, exchange: Exchange, client: Client) -> None:
        self.exchange = exchange
        self.client = client
        self._path: str | None = None
        self._headers: dict[str, list[str]] = {}
        self._parameters: dict[str, list[str]] | None = None
        self._body: list[str] | None = None
        self._packed: tuple[bytes | None] | None = None

    def path(self) -> str:
        """The decoded path without its trailing slash; empty for the root."""
        path = self._path
        if path is None:
            path = self._path = self.exchange.request.path.rstrip("/")
        return path

    def header(self, name: str) -> list[str]:
        """All values of a header, its name in lower case."""
        found = self._headers.get(name)
        if found is None:
            found = self._headers[name] = self.exchange.request.header(name)
        return found

    def parameter(self, name: str) -> list[str]:
        """All decoded values of a query parameter; one without `=` has the empty text."""
        return self.parameters().get(name, [])

    def parameters(self) -> dict[str, list[str]]:
        """The decoded query."""
        found = self._parameters
        if found is None:
            found = self._parameters = {}
            query = self.exchange.request.query
            for name, value in parse_qsl(query, keep_blank_values=True, errors="replace") if query else ():
                found.setdefault(name, []).append(value)
        return found

    def body(self) -> list[str]:
        """What is held of the request body, as UTF-8 with what is invalid replaced; nothing where there is no
        body.
        """
        if self._body is None:
            content = self.exchange.request_body.content()
            self._body = [content.decode("utf-8", "replace")] if content else []
        return self._body

    def address(self) -> bytes | None:
        """The client's address as 4 or 16 bytes."""
        if self._packed is None:
            self._packed = (pack(self.client.ip or ""),)
        return self._packed[0]
