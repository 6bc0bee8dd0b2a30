"""URLs of Redis and Valkey: of one server, of a cluster, or of the sentinels that know who is the master.

The schemes are those of redis-py and valkey-py; `redis+cluster` and `redis+sentinel` are those of the library limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode

SINGLE, CLUSTER, SENTINEL = "single", "cluster", "sentinel"
_SCHEMES = {
    "redis": ("redis", SINGLE),
    "rediss": ("rediss", SINGLE),
    "unix": ("unix", SINGLE),
    "valkey": ("redis", SINGLE),
    "valkeys": ("rediss", SINGLE),
    **{f"{scheme}+{kind}": (scheme, kind) for scheme in ("redis", "rediss") for kind in (CLUSTER, SENTINEL)},
    **{f"valkey+{kind}": ("redis", kind) for kind in (CLUSTER, SENTINEL)},
    **{f"valkeys+{kind}": ("rediss", kind) for kind in (CLUSTER, SENTINEL)},
}
_PORTS = {CLUSTER: 6379, SENTINEL: 26379}
_OF_SENTINELS = ("sentinel_username", "sentinel_password")
EXPECTED = (
    "memory, shared or a URL is expected: redis://host:6379/0, redis+cluster://host:6379,host:6379 or "
    "redis+sentinel://host:26379,host:26379/name (rediss for TLS, valkey for redis)"
)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL, read. `hosts` with their ports are where to ask first, `master` is the name that sentinels know, and
    `sentinels` has the name and password for them, where these want one.
    """

    kind: str
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    master: str = ""
    database: str = ""
    login: str = field(default="", repr=False)
    query: str = field(default="", repr=False)
    whole: str = field(default="", repr=False)
    sentinels: dict[str, str] = field(default_factory=dict, repr=False)

    def at(self, host: str, port: int) -> str:
        """The URL of one server, with the same login, database and options."""
        login = f"{self.login}@" if self.login else ""
        shown = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{login}{shown}:{port}/{self.database}?{self.query}"


def is_redis(text: str) -> bool:
    """Whether a text is meant as such a URL."""
    return text.partition("://")[0] in _SCHEMES and "://" in text


def read_redis_url(text: str) -> RedisUrl:
    """The parts of a URL. Raises ValueError, whose text does not tell the password."""
    named, found, rest = text.partition("://")
    if named not in _SCHEMES or not found:
        raise ValueError(EXPECTED)
    scheme, kind = _SCHEMES[named]
    if kind == SINGLE:
        return RedisUrl(kind, scheme, whole=f"{scheme}://{rest}")
    rest, _, query = rest.partition("?")
    place, _, path = rest.partition("/")
    login, _, hosts = place.rpartition("@")
    options = dict(parse_qsl(query))
    sentinels = {name.removeprefix("sentinel_"): options.pop(name) for name in _OF_SENTINELS if name in options}
    master, _, database = path.partition("/")
    if kind == CLUSTER and path:
        raise ValueError("a cluster has one database alone: no path is expected behind redis+cluster://host:port")
    if kind == SENTINEL and not master:
        raise ValueError("the master's name is missing: redis+sentinel://host:26379/name is expected")
    where = tuple(_host(each, _PORTS[kind]) for each in hosts.split(","))
    return RedisUrl(kind, scheme, where, unquote(master), database, login, urlencode(options), "", sentinels)


def _host(text: str, port: int) -> tuple[str, int]:
    """`host`, `host:port` or `[::1]:port`."""
    end = text.rpartition("]")[0] if text.startswith("[") else text.partition(":")[0]
    host, rest = end.removeprefix("["), text[len(end) :].removeprefix("]")
    if not host or (rest and not (rest[0] == ":" and rest[1:].isdecimal() and 0 < int(rest[1:]) < 65536)):
        raise ValueError("host:port is expected behind ://, several with commas between; / @ in a password are %2F %40")
    return host, int(rest[1:]) if rest else port
