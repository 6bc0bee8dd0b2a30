"""One exchange and its client as rules see them: each part read once, and only when a rule asks."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_plus

from metlo_otel.core.addresses import pack
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

    _ip: str | None = _NOT_READ  # on the class: what nobody asks for is not even written
    _user: str | None = _NOT_READ
    _session: str | None = _NOT_READ

    def __init__(self, ip: Ask, user: Ask = _nobody, session: Ask = _nobody) -> None:
        self._ask_ip = ip
        self._ask_user = user
        self._ask_session = session

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
        if self._path is None:
            self._path = self.exchange.request.path.rstrip("/")
        return self._path

    def header(self, name: str) -> list[str]:
        """All values of a header, its name in lower case."""
        found = self._headers.get(name)
        if found is None:
            found = self._headers[name] = self.exchange.request.header(name)
        return found

    def parameter(self, name: str) -> list[str]:
        """All decoded values of a query parameter; one without `=` has the empty text."""
        if self._parameters is None:
            self._parameters = {}
            for key, value in query_pairs(self.exchange.request.query):
                self._parameters.setdefault(key, []).append(value)
        return self._parameters.get(name, [])

    def body(self) -> list[str]:
        """What is held of the request body as UTF-8, what is invalid replaced; nothing without a body."""
        if self._body is None:
            content = self.exchange.request_body.content()
            self._body = [content.decode("utf-8", "replace")] if content else []
        return self._body

    def address(self) -> bytes | None:
        """The client's address as 4 or 16 bytes."""
        if self._packed is None:
            self._packed = (pack(self.client.ip or ""),)
        return self._packed[0]


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The decoded names and values of a query string; a name without `=` has the empty value."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if "%" in query or "+" in query:
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
    return [(name, value) for name, _, value in pairs]
