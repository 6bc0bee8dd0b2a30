"""One exchange and its client as rules see them: each part read once, and only when a rule asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from metlo_otel.core.addresses import pack
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.paths import Paths
from metlo_otel.core.portions import Packed
from metlo_otel.core.query import Pairs
from metlo_otel.core.turns import Patience
from metlo_otel.reading.cookies import unescaped as unescaped_value
from metlo_otel.reading.plausible import Plausible
from metlo_otel.reading.record import request_message

Ask = Callable[[], str | None]

ADDRESS, USER, SPARED = "address", "user", "spared"
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
    notes: tuple[str, ...] = ()
    """What was asked for and is not known (ADDRESS, USER), and that the client is allowed everything (SPARED)."""

    def __init__(self, ip: Ask, user: Ask = _nobody, session: Ask = _nobody) -> None:
        self._ask_ip = ip
        self._ask_user = user
        self._ask_session = session

    @property
    def ip(self) -> str | None:
        """The normalised address of the client."""
        if self._ip is _NOT_READ:
            self._ip = self._ask_ip()
            if not self._ip:
                self.notes += (ADDRESS,)
        return self._ip

    @property
    def user(self) -> str | None:
        """The id of the user."""
        if self._user is _NOT_READ:
            self._user = self._ask_user()
            if not self._user:
                self.notes += (USER,)
        return self._user

    @property
    def session(self) -> str | None:
        """The unique session key."""
        if self._session is _NOT_READ:
            self._session = self._ask_session()
        return self._session


class View:
    """The parts of one exchange that conditions look at. A part that is missing has no values."""

    __slots__ = ("_body", "_headers", "_packed", "_paths", "_queries", "client", "exchange")

    def __init__(self, exchange: Exchange, client: Client) -> None:
        self.exchange = exchange
        self.client = client
        self._paths: Paths | None = None
        self._queries: tuple[Pairs, ...] | None = None
        self._headers: dict[str, list[str]] = {}
        self._body: Packed | None = None
        self._packed: tuple[bytes | None] | None = None

    def paths(self) -> Paths:
        """The spellings of the decoded path, each without its trailing slash; empty for the root."""
        if self._paths is None:
            plain = self.exchange.request.plain_path()
            self._paths = self.exchange.request.paths() if plain is None else ((plain,),)
        return self._paths

    def method(self) -> str:
        """The method in upper case, as frameworks read it."""
        return self.exchange.request.method.upper()

    def header(self, name: str) -> list[str]:
        """All values of a header, its name in lower case."""
        found = self._headers.get(name)
        if found is None:
            found = self._headers[name] = self.exchange.request.header(name)
            if name == "cookie":
                found += unescaped(found)
        return found

    def parameter(self, name: str) -> list[str]:
        """All decoded values of a query parameter as it is commonly read; one without `=` has the empty text."""
        return [value for key, value in self._read()[0] if key == name]

    def parameter_readings(self, name: str) -> list[str]:
        """The same values and whatever else frameworks read there."""
        return [value for pairs in self._read() for key, value in pairs if key == name]

    def _read(self) -> tuple[Pairs, ...]:
        if self._queries is None:
            self._queries = self.exchange.request.queries()
        return self._queries

    def body(self) -> Iterable[str]:
        """Every text that an app may read in the request body, all of it first, then each field."""
        if self._body is None:
            self._body = Packed(self._texts())
        return self._body

    def _texts(self) -> Iterator[str]:
        """The body in every plausible reading; what could not be read is noted on the exchange."""
        message = request_message(self.exchange)
        if not message.inspected:
            return
        patience = Patience(len(message.inspected))
        read = Plausible("reqBody", message, self.exchange.request_body.most, patience)
        yield from read.values()
        self.exchange.note(*read.incomplete, *(("time",) if patience.is_over else ()))

    def address(self) -> bytes | None:
        """The client's address as 4 or 16 bytes."""
        if self._packed is None:
            self._packed = (pack(self.client.ip or ""),)
        return self._packed[0]


def unescaped(cookies: list[str]) -> list[str]:
    """Cookie headers as frameworks read quoted values: `\\145` is an `e`, and so is `\\e`."""
    return [unescaped_value(text) for text in cookies if "\\" in text]


def listed(text: str) -> list[str]:
    """The items of a header's value that is a list; the value itself where it is none."""
    return [item.strip() for item in text.split(",")] if "," in text else [text]
