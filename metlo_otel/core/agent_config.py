"""The agent-config that the backend serves, as a frozen value.

The document is described by Metlo's own wire: a broken part is left out with a message that names it, a broken document
raises, and whoever holds a previous configuration keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from metlo_otel.core.exemptions import Exemption, parse_exemption
from metlo_otel.core.hosts import bare_host, bare_pattern
from metlo_otel.core.matching import Patterns
from metlo_otel.core.patterns import parse_pattern

T = TypeVar("T")
Warn = Callable[[str], None]

_LONGEST_PATH = 2000  # characters of an endpoint's path
_LONGEST_HOST = 256  # characters in which a pattern is looked for: a name has 253


class AgentConfigError(ValueError):
    """The document is not an agent-config at all."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a backend answered: the decoded document and its ETag, `changed` false where it is still the one with the
    ETag that was asked with, and after how many seconds it wants to be asked again, where it said so.
    """

    document: Any = field(default=None, repr=False)
    etag: str | None = None
    changed: bool = True
    again: float | None = None


@dataclass(frozen=True, slots=True)
class DataClass:
    """A class of sensitive data: found by its value, by its key's path, or not at all without a regex."""

    name: str
    severity: str
    regex: str | None = None
    key_regex: str | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """How requests to a host authenticate. `kind` is basic, header, jwt or session_cookie."""

    host: str
    kind: str
    header_key: str | None = None
    jwt_user_path: str | None = None
    cookie_name: str | None = None
    user_cookie_name: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the backend knows of one endpoint; `path` has parameters as `{name}`."""

    host: str
    method: str
    path: str
    full_capture: bool = False
    graphql: bool = False
    spec: str | None = None


@dataclass(frozen=True, slots=True)
class HostMap:
    """Requests to a host in which the pattern with the same index occurs count as this one of `hosts` in look-ups."""

    hosts: tuple[str, ...] = ()
    patterns: Patterns = Patterns()


@dataclass(frozen=True, slots=True)
class BlockedPaths:
    """Paths of the hosts that match `host` which are never reported."""

    host: Patterns
    paths: Patterns


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything the backend configures. `waf` holds the raw rules; the blocking room parses them. `aggregates` says
    that it takes the sums of all requests beside traces, which original backends do not; `exemptions` are the places
    where a category of attacks does not count, served under `detectionExcept` by collectors of this package.
    """

    full_capture: bool = False
    encryption_key: str | None = field(default=None, repr=False)
    data_classes: tuple[DataClass, ...] | None = None
    endpoints: tuple[Endpoint, ...] = ()
    authentication: tuple[Authentication, ...] = ()
    specs: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    host_map: HostMap = HostMap()
    blocked_hosts: Patterns = Patterns()
    blocked_paths: tuple[BlockedPaths, ...] = ()
    waf: tuple[Any, ...] = ()
    aggregates: bool = False
    exemptions: tuple[Exemption, ...] = ()

    def map_host(self, host: str) -> str:
        """The name under which a host is looked up: the first pattern of the host map that matches, else itself."""
        found = self.host_map.patterns.found(host[:_LONGEST_HOST])
        return self.host_map.hosts[found[0]] if found else host


def parse_agent_config(document: Any, warn: Warn) -> AgentConfig:
    """Read a decoded agent-config document; `warn` is told of every part that is left out, and why.

    Raises AgentConfigError where the document is not an object.
    """
    if not isinstance(document, Mapping):
        raise AgentConfigError(f"agent-config is a JSON object, not {type(document).__name__}")
    classes = document.get("sensitiveDataList")
    return AgentConfig(
        full_capture=document.get("globalFullTraceCapture") is True,
        encryption_key=_public_key(document, warn),
        data_classes=None if classes is None else _each(document, "sensitiveDataList", _data_class, warn),
        endpoints=_each(document, "endpoints", _endpoint, warn),
        authentication=_each(document, "authenticationConfig", _authentication, warn),
        specs=_each(document, "specs", lambda item: (str(item["name"]), str(item["spec"])), warn),
        host_map=_host_map(document, warn),
        blocked_hosts=Patterns(_each(document, "hostBlockList", _host_regex, warn)),
        blocked_paths=_each(document, "pathBlockList", lambda item: _blocked_paths(item, warn), warn),
        waf=_each(document, "wafConfig", lambda item: item, warn),
        aggregates=document.get("aggregates") is True,
        exemptions=_each(document, "detectionExcept", parse_exemption, warn),
    )


def _public_key(document: Mapping[str, Any], warn: Warn) -> str | None:
    key = document.get("encryptionPublicKey") or None
    if key is None or isinstance(key, str):
        return key
    warn(f"agent-config: encryptionPublicKey is PEM text, not {type(key).__name__}; nothing leaves but redacted")
    return ""


def _each(document: Mapping[str, Any], name: str, read: Callable[[Any], T], warn: Warn) -> tuple[T, ...]:
    items = document.get(name) or []
    if not isinstance(items, list):
        warn(f"agent-config: {name} is a list, not {type(items).__name__}; it is left out")
        return ()
    found = []
    for index, item in enumerate(items):
        try:
            found.append(read(item))
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            warn(f"agent-config: {name}[{index}] is left out: {type(problem).__name__}: {problem}")
    return tuple(found)


def _data_class(item: Mapping[str, Any]) -> DataClass:
    return DataClass(
        _name(item, "className"),
        item.get("severity") or "none",
        _text(item, "regex"),
        _text(item, "keyRegex"),
    )


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    path = _name(item, "path")
    if len(path) > _LONGEST_PATH:
        raise ValueError(f"path has more than {_LONGEST_PATH} characters")
    return Endpoint(
        bare_host(_name(item, "host")),
        _name(item, "method").upper(),
        path,
        item.get("fullTraceCaptureEnabled") is True,
        item.get("isGraphQl") is True,
        _text(item, "openapiSpecName"),
    )


def _authentication(item: Mapping[str, Any]) -> Authentication:
    kind = item["authType"]
    if kind not in ("basic", "header", "jwt", "session_cookie"):
        raise ValueError(f"authType is one of basic, header, jwt, session_cookie, not {kind!r}")
    keys = ("headerKey", "jwtUserPath", "cookieName", "userCookieName")
    return Authentication(bare_host(_name(item, "host")), kind, *(_text(item, key) for key in keys))


def _host_map(document: Mapping[str, Any], warn: Warn) -> HostMap:
    pairs = _each(
        document, "hostMap", lambda item: (bare_host(_name(item, "host")), _host_regex(item["pattern"])), warn
    )
    return HostMap(tuple([host for host, _ in pairs]), Patterns(pattern for _, pattern in pairs))


def _blocked_paths(item: Mapping[str, Any], warn: Warn) -> BlockedPaths:
    return BlockedPaths(Patterns([_host_regex(item["host"])]), Patterns(_each(item, "paths", _regex, warn)))


def _host_regex(pattern: Any) -> str:
    """The same for hosts, which are looked at without a scheme."""
    return bare_pattern(_regex(pattern))


def _regex(pattern: Any) -> str:
    """A pattern that can be searched for in linear time: a backend's must not hold up an app's requests."""
    if not isinstance(pattern, str):
        raise TypeError(f"a regex is text, not {type(pattern).__name__}")
    parse_pattern(pattern)
    return pattern


def _name(item: Mapping[str, Any], key: str) -> str:
    value = item[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is a text that is not empty")
    return value


def _text(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is text, not {type(value).__name__}")
    return value or None
