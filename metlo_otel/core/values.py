"""How the value of a setting is read: each function returns the value or raises ValueError saying what was expected."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metlo_otel.core.addresses import Proxies, Range, parse_networks
from metlo_otel.core.categories import ATTACKS
from metlo_otel.core.matching import Patterns
from metlo_otel.core.patterns import PatternError, parse_pattern
from metlo_otel.core.redis_url import read_redis_url

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}
_LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "critical": 50}


def boolean(value: Any) -> bool:
    """True, False, or one of the eight words."""
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("true or false is expected (also 1, 0, yes, no, on, off)")


def text(value: Any) -> str:
    """Text that is not empty, spaces around it removed."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("a text that is not empty is expected")


def secret(value: Any) -> str:
    """A secret: text without control characters."""
    if isinstance(value, str) and value.strip() and value.strip().isprintable():
        return value.strip()
    raise ValueError("a key without line breaks or control characters is expected")


def header_key(value: Any) -> str:
    """A key that a header can carry: printable ASCII."""
    found = secret(value)
    if found.isascii():
        return found
    raise ValueError("a key of printable ASCII characters is expected, for a header carries it")


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"\s*\d{1,18}\s*", str(value)):
        raise ValueError("not a whole number")
    return int(value)


def port(value: Any) -> int:
    """A TCP port."""
    try:
        number = _number(value)
    except ValueError:
        number = 0
    if 1 <= number <= 65535:
        return number
    raise ValueError("a port from 1 to 65535 is expected")


def size(value: Any) -> int:
    """A number of bytes or items."""
    try:
        return _number(value)
    except ValueError:
        raise ValueError("a whole number from 0 is expected") from None


def log_level(value: Any) -> int:
    """A level of the standard library's logging, by name in any case or by number; trace is 5."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    word = str(value).strip().lower()
    if word in _LEVELS:
        return _LEVELS[word]
    if word.isdecimal():
        return int(word)
    raise ValueError("one of trace, debug, info, warn, error or a number is expected")


def function(value: Any) -> Callable[[Any], Any]:
    """A callable, or where to import it from: `package.module.name` or `package.module:name`."""
    if callable(value):
        return value  # type: ignore[no-any-return]  # callable() does not narrow Any
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][\w.]*[.:][A-Za-z_]\w*", value):
        raise ValueError("a function, or where to import it from such as shop.auth.current_user, is expected")
    module, _, name = value.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as problem:  # what a module raises while it is imported is its own affair
        raise ValueError(f"it cannot be imported: {type(problem).__name__}: {problem}") from problem
    if not callable(found):
        raise ValueError("what is found there cannot be called")
    return found  # type: ignore[no-any-return]  # getattr gives Any


def base_url(value: Any) -> str:
    """An http(s) URL without user, query or fragment, no trailing slash."""
    expected = "a URL such as https://app.metlo.com or http://127.0.0.1:8081 is expected"
    try:
        parts = urlsplit(value.strip() if isinstance(value, str) else "")
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or parts.port is None)
    except ValueError:
        raise ValueError(expected) from None
    if not valid or parts.username is not None or parts.query or parts.fragment or re.search(r"\s", parts.netloc):
        raise ValueError(expected)
    return parts.geturl().rstrip("/")


def with_port(url: str, port: int | None, default: int | None) -> str:
    """`url` with `port`, else with the port it has, else with `default` (None: no port)."""
    parts = urlsplit(url)
    number = port or parts.port or default
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return parts._replace(netloc=f"{name}:{number}" if number else name).geturl()


def _many(value: Any) -> list[str]:
    """A list, or text with commas between the items (as in an environment variable)."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of texts is expected (in an environment variable: with commas between)")
    return [item.strip() for item in items if item.strip()]


def names(value: Any) -> frozenset[str]:
    """Names of headers or fields, in lower case; the empty list is a value too."""
    return frozenset(item.lower() for item in _many(value))


def changed(defaults: Iterable[str]) -> Callable[[Any], frozenset[str]]:
    """A reader of names of which `+name` adds to the defaults and `-name` takes away; a list without signs replaces."""

    def read(value: Any) -> frozenset[str]:
        items = names(value)
        signed = [item for item in items if item[0] in "+-"]
        if not signed:
            return items
        if len(signed) < len(items):
            raise ValueError("either a list of names, or changes such as +pin and -cookie, are expected, not both")
        found = {item.lower() for item in defaults}
        added = {item[1:].strip() for item in items if item[0] == "+"}
        return frozenset((found - {item[1:].strip() for item in items if item[0] == "-"}) | added)

    return read


def regexes(value: Any) -> Patterns:
    """Regular expressions, searched for anywhere in a URL in linear time."""
    for item in _many(value):
        try:
            parse_pattern(item)
        except PatternError as problem:
            raise ValueError(f"{item!r} cannot be searched for: {problem}") from None
    return Patterns(_many(value))


def networks(value: Any) -> tuple[Range, ...]:
    """IP networks in CIDR form, or single addresses."""
    try:
        return parse_networks(_many(value))
    except ValueError as problem:
        raise ValueError(f"networks such as 10.0.0.0/8 are expected: {problem}") from None


def proxies(value: Any) -> Proxies:
    """Networks as in networks(), and `unix` for peers on a Unix socket."""
    try:
        return Proxies.parse(_many(value))
    except ValueError as problem:
        raise ValueError(f"networks such as 10.0.0.0/8, or unix, are expected: {problem}") from None


def header_name(value: Any) -> str:
    """The name of a header, in lower case."""
    found = text(value).lower()
    if re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", found):
        return found.replace("_", "-")
    raise ValueError("one header's name such as X-Forwarded-For, Forwarded or X-Real-IP is expected")


def prefix(value: Any) -> int:
    """The length of an IPv6 prefix in bits; a slash may stand before it."""
    try:
        number = _number(value.strip().removeprefix("/") if isinstance(value, str) else value)
    except ValueError:
        number = 0
    if 32 <= number <= 128:
        return number
    raise ValueError("a prefix length from 32 to 128 bits is expected")


def rules(value: Any) -> Path | str:
    """The path of a rules file; or a list of rules, which is kept as its JSON, so that settings stay values."""
    if isinstance(value, str | Path) and str(value).strip() and not str(value).lstrip().startswith("["):
        return _rules_file(Path(value).expanduser())
    try:
        found = json.loads(value) if isinstance(value, str) else value
        if isinstance(found, list | tuple):
            return json.dumps(found)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"a list of rules is expected to be as JSON has it: {problem}") from None
    raise ValueError("the path of a rules file, or a list of rules, is expected")


def _rules_file(path: Path) -> Path:
    """A file that can be read: an app that starts without its rules would be open in silence."""
    try:
        path.open("rb").close()
    except OSError as problem:
        raise ValueError(f"a rules file that can be read is expected: {problem.strerror}") from None
    if path.suffix in (".yml", ".yaml") and importlib.util.find_spec("yaml") is None:
        raise ValueError("YAML rules need the extra: pip install 'metlo-otel[rules]'")
    return path


def detection(value: Any) -> tuple[tuple[str, str], ...]:
    """What to do about each category of attacks: one word for all, or a mapping (`SQLI=block,XSS=off`) for some."""
    if isinstance(value, str) and "=" in value:
        value = dict(item.partition("=")[::2] for item in _many(value))
    given = value if isinstance(value, Mapping) else {"default": value}
    modes = {str(name).strip().upper(): str(mode).strip().lower() for name, mode in given.items()}
    wrong = [name for name in modes if name not in (*ATTACKS, "DEFAULT")]
    if wrong or any(mode not in ("report", "block", "off") for mode in modes.values()):
        names = ", ".join(ATTACKS)
        raise ValueError(f"report, block or off is expected, for all or by category: one of default, {names}")
    return tuple([(name, modes.get(name, modes.get("DEFAULT", "report"))) for name in ATTACKS])


def percentage(value: Any) -> float:
    """A number above 0 up to 100; a percent sign may follow it."""
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        number = 0.0
    if 0 < number <= 100 and not isinstance(value, bool):
        return number
    raise ValueError("a percentage above 0 and up to 100 is expected")


def seconds(value: Any) -> float:
    """A number of seconds, 0 among them, up to a minute."""
    try:
        number = -1.0 if isinstance(value, bool) else float(str(value).strip())
    except ValueError:
        number = -1.0
    if 0 <= number <= 60:
        return number
    raise ValueError("a number of seconds from 0 to 60 is expected")


def storage(value: Any) -> str:
    """Where rate limits are counted: `memory`, `shared`, or the URL of a Redis, a cluster or sentinels."""
    word = str(value).strip()
    if word in ("memory", "shared"):
        return word
    read_redis_url(word)
    if importlib.util.find_spec("redis") is None:
        raise ValueError("limits in Redis need the extra: pip install 'metlo-otel[redis]'")
    return word


def one_of(*words: str) -> Callable[[Any], str]:
    """A reader that takes one of these words, in any case."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(f"one of {', '.join(words)} is expected")
        return word

    return read


def destinations(value: Any) -> frozenset[str]:
    """Where findings go: `metlo`, `otlp` or both; what OTLP needs must be installed."""
    words = value if isinstance(value, list | tuple | set | frozenset) else str(value).split(",")
    found = frozenset(str(word).strip().lower() for word in words)
    if not found or not found <= {"metlo", "otlp"}:
        raise ValueError("metlo, otlp or metlo,otlp is expected")
    if "otlp" in found and not _has_exporters():
        raise ValueError("for otlp an extra is needed: pip install 'metlo-otel[otlp]'")
    return found


def _has_exporters() -> bool:
    """Whether OpenTelemetry's OTLP exporters are installed, with the log records of 1.39 and later."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        numbers = version("opentelemetry-exporter-otlp-proto-http").split(".")
        return (int(numbers[0]), int(numbers[1])) >= (1, 39)
    except (PackageNotFoundError, ValueError, IndexError):
        return False


def shorten(value: Any) -> str:
    """A value for a message, not longer than a line; a URL without its user and password."""
    shown = re.sub(r"(?<=//)[^/@\s]*@", "[not shown]@", repr(value))
    return shown if len(shown) <= 80 else shown[:77] + "..."
