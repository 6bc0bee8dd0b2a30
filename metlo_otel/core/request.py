"""Reading a raw request, WSGI environ or ASGI scope, only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, ClassVar, Protocol

from metlo_otel.core.paths import PLAIN_PATHS, Paths, as_sent, from_bytes, plain_path, readings, spelled
from metlo_otel.core.query import Pairs, pairs, query_readings

_MOST_MARKS = 4  # of a header's name that are looked up in either spelling
_MOST_NAMES = 24  # of objects, that are remembered
_MOST_SHAPES = 512  # lists of an environ's names, that are remembered

Address = tuple[str, int | None]
Outline = tuple[str | bytes | None, str, str | bytes | None, str | bytes | None, bool]
"""Host, method, Content-Type, the first six characters of Authorization, and whether there is a Content-Encoding."""
Known = tuple[dict[str, None], dict[bytes, None]]
"""Values of headers, as text and as bytes: they are equal in hash, and never equal."""
BETWEEN = b"\x1f"  # between two values of headers in a text that signs are looked for in


class HeaderNames:
    """Headers that are looked for together: their names, in lower case, by how servers spell them."""

    __slots__ = ("environ", "scope")

    def __init__(self, names: Iterable[str]) -> None:
        listed = tuple(names)
        self.scope = {key: name for name in listed for key in _scope_keys(name)}
        self.environ = tuple([(_environ_key(name), name) for name in listed])


class Request(Protocol):
    """What rules and the worker ask of a request. Nothing is read from the network."""

    @property
    def method(self) -> str:
        """The method as sent."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""

    @property
    def path(self) -> str:
        """The percent-decoded path with its mount point, invalid UTF-8 replaced."""

    def plain_path(self) -> str | None:
        """The path without a slash at its end where it has one spelling, as nearly all have; else None."""

    def paths(self) -> Paths:
        """All spellings of the path, without a slash at the end: what the app may take it for."""

    def sent_paths(self) -> tuple[str, ...]:
        """The path as it was sent, still percent-encoded, hexadecimal digits in upper case."""

    @property
    def query(self) -> str:
        """The raw query string, without `?`, still percent-encoded."""

    def queries(self) -> tuple[Pairs, ...]:
        """The query's names and values, decoded as frameworks do; the common reading first."""

    @property
    def host(self) -> str:
        """The Host header as sent, without a user's name and password in it; else the server's own name and port."""

    @property
    def peer(self) -> Address:
        """The address of the connection's other end; an empty string where the server does not tell."""

    @property
    def address(self) -> str:
        """The peer's address, without the port."""

    @property
    def server(self) -> Address:
        """The address that the request came in on."""

    @property
    def protocol(self) -> str:
        """The HTTP version, `1.1`."""

    def headers(self) -> list[tuple[str, str]]:
        """All headers in the order and case that the server gives them, repeated ones kept."""

    def header(self, name: str) -> list[str]:
        """All values of one header, its name given in lower case."""

    def chosen(self, names: HeaderNames) -> list[tuple[str, str]]:
        """The values of several headers, each with its name in lower case."""

    @property
    def held(self) -> int:
        """About how many bytes the raw request holds."""

    def outline(self) -> Outline:
        """What requests are counted by, as the server gives it: no two spellings are made one."""

    def text(self, known: Known) -> tuple[bytes, bytes]:
        """Path and query, the query still encoded; and the values of headers but for `known` ones, BETWEEN them."""


class EnvironRequest:
    """A WSGI request (PEP 3333): `environ` is copied, because apps and other middlewares write into it.

    The objects in it, streams and sockets among them, are let go. A server gives the same ones each time: where their
    names are known, copying and leaving them out takes no step per variable, which halves the cost of the copy.
    """

    __slots__ = ("environ", "held")
    _object_names: ClassVar[dict[str, str]] = dict.fromkeys(
        ("wsgi.version", "wsgi.input", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"), ""
    )

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.environ: dict[str, str] = {**environ, **self._object_names}
        try:
            self.held = len("".join(self.environ.values()))
        except TypeError:  # there is another object in it
            self.environ = {key: value for key, value in environ.items() if isinstance(value, str)}
            self.held = len("".join(self.environ.values()))
            self._learn(environ)

    def _learn(self, environ: Mapping[str, Any]) -> None:
        """Remember the objects' names; only those with a dot: header and CGI variables are text in other requests."""
        known = self._object_names
        for name in environ.keys() - self.environ.keys() - known.keys() - {"wsgi.url_scheme"}:
            if type(name) is str and "." in name and not name.startswith("HTTP_") and len(known) < _MOST_NAMES:
                known = type(self)._object_names = {**known, name: ""}

    @property
    def method(self) -> str:
        return self.environ.get("REQUEST_METHOD", "GET")

    @property
    def scheme(self) -> str:
        return self.environ.get("wsgi.url_scheme", "http")

    @property
    def path(self) -> str:
        raw = self.environ.get("SCRIPT_NAME", "") + self.environ.get("PATH_INFO", "")
        return (raw if raw.isascii() else self._path_bytes(raw).decode("utf-8", "replace")) or "/"

    def plain_path(self) -> str | None:
        environ = self.environ
        if environ.get("SCRIPT_NAME"):
            return None
        path = environ.get("PATH_INFO", "")
        plain = PLAIN_PATHS.get(path)
        return plain_path(path) if plain is None else plain

    def paths(self) -> Paths:
        mount = self.environ.get("SCRIPT_NAME", "")
        raw = self.environ.get("PATH_INFO", "")
        if raw.isascii() and mount.isascii():
            return readings(mount + raw, mount)
        inner = from_bytes(self._path_bytes(raw))
        if not mount:
            return spelled(*[(path,) for path in inner])
        return spelled(*zip(from_bytes(self._path_bytes(mount + raw)), inner, strict=True))

    def _path_bytes(self, raw: str) -> bytes:
        return _bytes(raw)

    def sent_paths(self) -> tuple[str, ...]:
        environ = self.environ
        return as_sent(environ.get("REQUEST_URI") or environ.get("RAW_URI") or "", self.path)

    @property
    def query(self) -> str:
        return _text(self.environ.get("QUERY_STRING", ""))

    def queries(self) -> tuple[Pairs, ...]:
        raw, kind = self.environ.get("QUERY_STRING", ""), self.environ.get("CONTENT_TYPE")
        if not kind and "%" not in raw and raw.isascii():
            return (list(pairs(raw)),)
        return query_readings(_bytes(raw), kind or "")

    @property
    def host(self) -> str:
        return self.environ.get("HTTP_HOST", "").rpartition("@")[2] or _netloc(self.server, self.scheme)

    @property
    def peer(self) -> Address:
        return self.environ.get("REMOTE_ADDR", ""), _port(self.environ.get("REMOTE_PORT"))

    @property
    def address(self) -> str:
        return self.environ.get("REMOTE_ADDR", "")

    @property
    def server(self) -> Address:
        return self.environ.get("SERVER_NAME", ""), _port(self.environ.get("SERVER_PORT"))

    @property
    def protocol(self) -> str:
        return self.environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2]

    def headers(self) -> list[tuple[str, str]]:
        found = []
        for key, value in self.environ.items():
            if key.startswith("HTTP_"):
                found.append((key[5:].replace("_", "-").title(), _text(value)))
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                found.append((key.replace("_", "-").title(), _text(value)))
        return found

    def header(self, name: str) -> list[str]:
        value = self.environ.get(_environ_key(name))
        return [_text(value.strip())] if value is not None else []

    def chosen(self, names: HeaderNames) -> list[tuple[str, str]]:
        environ, found = self.environ, []
        for key, name in names.environ:  # a plain loop is faster for the one or two that rules ask for
            if key in environ:
                raw = environ[key].strip()
                found.append((name, raw if raw.isascii() else _text(raw)))
        return found

    def outline(self) -> Outline:
        get = self.environ.get
        sent = get("HTTP_AUTHORIZATION")
        return (
            get("HTTP_HOST"),
            get("REQUEST_METHOD", "GET"),
            get("CONTENT_TYPE"),
            None if sent is None else sent[:6],
            bool(get("HTTP_CONTENT_ENCODING")),
        )

    def text(self, known: Known) -> tuple[bytes, bytes]:
        environ = self.environ
        get = environ.get
        target = f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}\n{get('QUERY_STRING', '')}"
        names = tuple(environ)
        values, (texts, _) = _shapes.get(names) or _shape(names), known
        headers = "\x1f".join([value for value in values(environ) if value not in texts])
        return target.encode("utf-8", "replace"), headers.encode("utf-8", "replace")


class DecodedRequest(EnvironRequest):
    """A WSGI request whose path a framework has decoded in the environ, as Django does: it is text, not bytes."""

    __slots__ = ()

    def _path_bytes(self, raw: str) -> bytes:
        return raw.encode("utf-8", "replace")


class ScopeRequest:
    """An ASGI request. What is needed of the scope is noted at once: frameworks change the scope while they route.

    The scope itself is let go, with the sessions and connections that apps keep in it.
    """

    __slots__ = ("_client", "_headers", "_mount", "_query", "_sent", "_server", "method", "path", "protocol", "scheme")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope.get("method") or "GET"
        self.scheme: str = scope.get("scheme") or "http"
        self.path: str = scope.get("path") or "/"
        self.protocol: str = scope.get("http_version") or "1.1"
        self._mount: str = scope.get("root_path") or ""
        self._sent: bytes = scope.get("raw_path") or b""
        query: bytes | str = scope.get("query_string") or b""  # text from Django's AsyncClient
        self._query = query.encode("utf-8", "replace") if isinstance(query, str) else query
        self._headers: list[tuple[bytes, bytes]] = scope.get("headers") or []
        self._client = scope.get("client")
        self._server = scope.get("server")

    def plain_path(self) -> str | None:
        if self._mount:
            return None
        path = self.path
        plain = PLAIN_PATHS.get(path)
        return plain_path(path) if plain is None else plain

    def paths(self) -> Paths:
        return readings(self.path, self._mount)

    def sent_paths(self) -> tuple[str, ...]:
        return as_sent(self._sent.decode("latin-1"), self.path)

    @property
    def query(self) -> str:
        return _decode(self._query)

    def queries(self) -> tuple[Pairs, ...]:
        raw = self._query
        if b"%" not in raw and raw.isascii():
            return (list(pairs(raw.decode())),)
        return query_readings(raw)

    @property
    def host(self) -> str:
        for name, value in self._headers:
            if name.lower() == b"host":
                return _decode(value).rpartition("@")[2]
        return _netloc(self.server, self.scheme)

    @property
    def peer(self) -> Address:
        return _address(self._client)

    @property
    def address(self) -> str:
        client = self._client
        return str(client[0] or "") if client else ""

    @property
    def server(self) -> Address:
        return _address(self._server)

    def headers(self) -> list[tuple[str, str]]:
        return [(_decode(name), _decode(value)) for name, value in self._headers]

    def header(self, name: str) -> list[str]:
        wanted = _scope_keys(name)  # servers give names in lower case, as ASGI has it
        return [_decode(value.strip()) for key, value in self._headers if key in wanted]  # some leave blanks around it

    def chosen(self, names: HeaderNames) -> list[tuple[str, str]]:
        known = names.scope
        return [(known[key], _decode(value.strip())) for key, value in self._headers if key in known]

    @property
    def held(self) -> int:
        held = len(self.path) + len(self._query)
        for name, value in self._headers:  # between two other things, a plain loop is faster than sum(map(len, …))
            held += len(name) + len(value)
        return held

    def outline(self) -> Outline:
        host = kind = sent = None
        coded = False
        for name, value in self._headers:
            if name == b"host":
                host = value
            elif name == b"content-type":
                kind = value
            elif name == b"authorization":
                sent = value[:6]
            elif name in _CODING and value:
                coded = True
        return host, self.method, kind, sent, coded

    def text(self, known: Known) -> tuple[bytes, bytes]:
        target = self.path.encode("utf-8", "replace") + b"\n" + self._query
        raws = known[1]
        return target, BETWEEN.join([value for _, value in self._headers if value not in raws])


@lru_cache(1024)
def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


@lru_cache(1024)
def _scope_keys(name: str) -> tuple[bytes, ...]:
    """The spellings of a header's name: some apps, as WSGI servers do, read `_` as `-`."""
    first, *words = name.replace("_", "-").encode("latin-1", "replace").split(b"-")
    keys = [first]
    for number, word in enumerate(words):
        marks = (b"-", b"_") if number < _MOST_MARKS else (b"-",)
        keys = [key + mark + word for mark in marks for key in keys]
    return tuple(keys)


_CODING = _scope_keys("content-encoding")
_Values = Callable[[Mapping[str, str]], tuple[str, ...]]
_shapes: dict[tuple[str, ...], _Values] = {}


def _shape(names: tuple[str, ...]) -> _Values:
    """Takes the values of headers out of an environ that has these names; remembered, since clients send the same."""
    headers = [name for name in names if name[:5] == "HTTP_"]
    if len(_shapes) >= _MOST_SHAPES:
        _shapes.clear()
    if len(headers) > 1:  # of one name itemgetter() gives no tuple
        values: _Values = itemgetter(*headers)
    else:
        values = partial(_few, headers)
    _shapes[names] = values
    return values


def _few(names: Iterable[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([environ[name] for name in names])


def _text(raw: str) -> str:
    """WSGI hands bytes over as latin-1 text: read them as UTF-8 where they are, else leave them."""
    if raw.isascii():
        return raw
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return raw


def _bytes(raw: str) -> bytes:
    """The bytes that a server handed over as Latin-1 text; some hand over text, which is UTF-8 then."""
    try:
        return raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw.encode("utf-8", "replace")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _port(value: object) -> int | None:
    """A port between 0 and 65535; servers also hand over empty, textual or nonsensical ones."""
    try:
        port = int(value)  # type: ignore[call-overload]  # whatever the server put there: int() judges
    except (TypeError, ValueError):
        return None
    return port if 0 <= port <= 65535 else None


def _address(pair: Any) -> Address:
    """`scope["client"]` and `scope["server"]`: a pair, None, or for Unix sockets a path and None."""
    if not pair:
        return "", None
    return str(pair[0] or ""), _port(pair[1]) if len(pair) > 1 else None


def _netloc(address: Address, scheme: str) -> str:
    name, port = address
    default = 443 if scheme == "https" else 80
    return name or "localhost" if port in (None, default) else f"{name or 'localhost'}:{port}"
