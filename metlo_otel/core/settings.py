"""Settings: read once at start from code and environment into one frozen value."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metlo_otel.core import values
from metlo_otel.core.addresses import X_FORWARDED_FOR, Proxies, Range
from metlo_otel.core.exemptions import Exemption, parse_exemptions
from metlo_otel.core.matching import Patterns
from metlo_otel.core.resource import resource_given

Given = dict[str, tuple[str, Any]]  # by field: the name as typed, and the value

DEFAULT_MASKED_FIELDS = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "api_key",
    "apikey",
    "x-auth-token",
    "x-csrf-token",
    "x-csrftoken",
    "csrfmiddlewaretoken",
    "x-amz-security-token",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "new_password",
    "old_password",
    "password_confirmation",
    "secret",
    "client_secret",
    "secret_key",
    "session_id",
    "jwt",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "private_key",
    "credit_card",
    "card_number",
    "cvv",
    "cvc",
    "pin",
    "otp",
)


def option(read: Callable[[Any], Any], default: Any, *aliases: str, secret: bool = False) -> Any:
    """A field of Settings: how its value is read, what it is when not set, by which other names it goes."""
    about = {"read": read, "aliases": aliases, "secret": secret}
    return field(default=default, repr=not secret, metadata=about)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a user can set. docs/reference/settings.md tells each in a user's words."""

    api_key: str = option(values.header_key, "", "key", secret=True)
    metlo_host: str = option(values.base_url, "", "host")
    collector_port: int | None = option(values.port, None)
    backend_port: int | None = option(values.port, None)
    log_level: int | None = option(values.log_level, None)
    encryption_key: str | None = option(values.secret, None, secret=True)
    get_user: Callable[[Any], Any] | None = option(values.function, None)
    reject_response: Callable[[Any], Any] | None = option(values.function, None)
    max_body: int = option(values.size, 5120)
    read_ahead_wait: float = option(values.seconds, 1.0)
    max_inspect: int = option(values.size, 65_536)
    oversize: str = option(values.one_of("pass", "block"), "pass")
    disabled: bool = option(values.boolean, False, "disable")
    environment: str = option(values.text, "production")
    service_name: str | None = option(values.text, None)
    excluded_urls: Patterns = option(values.regexes, Patterns())
    trusted_proxies: Proxies = option(values.proxies, Proxies())
    trusted_proxy_header: str = option(values.header_name, X_FORWARDED_FOR)
    client_ipv6_prefix: int = option(values.prefix, 64)
    masked_fields: frozenset[str] = option(values.changed(DEFAULT_MASKED_FIELDS), frozenset(DEFAULT_MASKED_FIELDS))
    span_attributes: str = option(values.one_of("markers", "headers", "bodies", "none"), "markers")
    tracing: str = option(values.one_of("join", "instrument"), "join")
    disable_e2ee: bool = option(values.boolean, False)
    detection: tuple[tuple[str, str], ...] = option(values.detection, values.detection("report"))
    detection_except: tuple[Exemption, ...] = option(parse_exemptions, ())
    mask_sensitive: bool = option(values.boolean, False)
    analysis_budget: float = option(values.percentage, 5.0)
    mode: str = option(values.one_of("block", "monitor"), "block")
    allowed_ips: tuple[Range, ...] = option(values.networks, ())
    rules: Path | str | None = option(values.rules, None)
    rate_limit_storage: str = option(values.storage, "shared", secret=True)
    config_cache: str | None = option(values.text, None)
    first_rules_wait: float = option(values.seconds, 0.25)
    export: frozenset[str] = option(values.destinations, frozenset({"metlo"}))
    max_queue_bytes: int = option(values.size, 16 * 1024 * 1024)
    max_queue_exchanges: int = option(values.size, 10_000)

    @property
    def collector_url(self) -> str:
        """Where traces go, without a trailing slash: the host's own port, else COLLECTOR_PORT, else 8081; empty where
        no Metlo is named, for EXPORT="otlp" needs none.
        """
        return values.with_port(self.metlo_host, self.collector_port, 8081) if self.metlo_host else ""

    @property
    def backend_url(self) -> str:
        """Where agent-config comes from: BACKEND_PORT, else the host's own port, else none for https, 8000 for http."""
        if not self.metlo_host:
            return ""
        return values.with_port(self.metlo_host, self.backend_port, 8000 if self.metlo_host[:5] == "http:" else None)

    @property
    def loopback(self) -> bool:
        """Whether the collector is on this machine, so that nothing leaves it."""
        name = urlsplit(self.metlo_host).hostname or ""
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings: the name as the user typed it and what to do. `kind` is stable."""

    kind: str
    name: str
    message: str


class SettingsError(ValueError):
    """The settings are wrong; the text lists every problem, `problems` holds them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"  {problem.name}: {problem.message}" for problem in problems]
        super().__init__("metlo_otel cannot start, its settings are wrong:\n" + "\n".join(lines))


_FIELDS = {item.name: item for item in fields(Settings)}
_NAMES = {alias: name for name, item in _FIELDS.items() for alias in (name, *item.metadata["aliases"])}
KNOWN_NAMES = tuple(sorted(name.upper() for name in _FIELDS))


def read_settings(*layers: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the first of `layers` that has a value, else from METLO_<NAME> in the environment, else what
    OpenTelemetry's variables say of the service, else defaults.

    Names are in upper or lower case, with or without METLO_ before; None as a value means: not set.
    Raises SettingsError with all problems.
    """
    problems: list[Problem] = []
    given = _from_environment(os.environ if environ is None else environ)
    for layer in reversed(layers):
        given.update(_from_code(layer, problems))
    read = {name: _value(name, typed, value, problems) for name, (typed, value) in given.items()}
    needs_metlo = "metlo" in read.get("export", ("metlo",)) and not _failed("export", given, problems)
    if needs_metlo and not (read.get("disabled") or _failed("disabled", given, problems)):
        _require(given, problems)
    if problems:
        raise SettingsError(problems)
    if "trusted_proxy_header" in read:
        read["trusted_proxies"] = replace(read.get("trusted_proxies", Proxies()), header=read["trusted_proxy_header"])
    return Settings(**read)


def _from_environment(environ: Mapping[str, str]) -> Given:
    """Variables of ours that are set and not empty; METLO_HOST is named so already, others get METLO_ before. Where
    there are none, what OpenTelemetry's say.
    """
    found: Given = dict(resource_given(environ))
    for alias, name in _NAMES.items():
        typed = alias.upper() if alias.startswith("metlo_") else "METLO_" + alias.upper()
        if environ.get(typed):
            found[name] = (typed, environ[typed])
    return found


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """What to say of variables that look like settings but are none: they would otherwise be passed over."""
    known = ["METLO_" + name.removeprefix("METLO_") for name in KNOWN_NAMES]
    aliases = {"METLO_" + alias.upper().removeprefix("METLO_") for alias in _NAMES}
    found = []
    for typed in sorted(environ):
        if typed.startswith("METLO_") and typed not in aliases:
            near = difflib.get_close_matches(typed, known, 1, 0.85)
            found += [f"the variable {typed} is no setting and is not heeded; did you mean {near[0]}?"] if near else []
    return found


def _from_code(layer: Any, problems: list[Problem]) -> Given:
    if not isinstance(layer, Mapping):
        problems.append(Problem("value", "settings", f"are a {type(layer).__name__}, but a dict is expected"))
        return {}
    found: Given = {}
    for typed, value in layer.items():
        lower = str(typed).lower()
        name = _NAMES.get(lower) or _NAMES.get(lower.removeprefix("metlo_"))
        if name is None:
            problems.append(Problem("unknown", str(typed), _unknown(lower)))
        elif value is not None and name in found:
            problems.append(Problem("twice", str(typed), f"says the same as {found[name][0]}; keep one"))
        elif value is not None:
            found[name] = (str(typed), value)
    return found


def _unknown(typed: str) -> str:
    near = difflib.get_close_matches(typed.upper().removeprefix("METLO_"), KNOWN_NAMES, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"is not a setting; {hint}there are {', '.join(KNOWN_NAMES)}"


def _value(name: str, typed: str, value: Any, problems: list[Problem]) -> Any:
    about = _FIELDS[name].metadata
    try:
        return about["read"](value)
    except ValueError as problem:
        shown = f"a {type(value).__name__} that is not shown" if about["secret"] else values.shorten(value)
        problems.append(Problem("value", typed, f"is {shown}, but {problem}"))
        return _FIELDS[name].default


def _failed(name: str, given: Given, problems: list[Problem]) -> bool:
    return name in given and any(problem.name == given[name][0] for problem in problems)


def _require(given: Given, problems: list[Problem]) -> None:
    needed = {
        "api_key": "is not set: the key that your Metlo collector gave you",
        "metlo_host": "is not set: your Metlo's URL, such as https://app.metlo.com or http://127.0.0.1:8081",
    }
    for name, message in needed.items():
        if name not in given:
            problems.append(Problem("missing", name.upper(), message))
