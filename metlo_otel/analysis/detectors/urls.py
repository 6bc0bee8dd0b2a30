"""Server-side request forgery: URLs that lead a server to itself, its neighbours or its cloud's secrets."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low
from metlo_otel.analysis.detectors.paths import OWN_FILE

_URL = re.compile(
    r"(?:url[:=])?\s{0,3}([a-z][a-z0-9+.-]{1,15}):/{0,4}([^/?#@]{0,200}@)?(\[[0-9a-f:.%]{2,60}\]"
    r"|[^/?#:\s\\\"'<>]{0,255})"
)
_RELATIVE = re.compile(r"//(\[[0-9a-f:.]{2,60}\]|[\w.-]{1,255})(?::\d{1,5})?(?:/|$)")
_ODD_SCHEMES = frozenset(
    {"gopher", "dict", "ldap", "ldaps", "tftp", "sftp", "netdoc", "jar", "file", "gopher1", "local_file"}
)
_WEB_SCHEMES = frozenset({"http", "https", "ftp", "ws", "wss"})
_METADATA = frozenset(
    {
        "169.254.169.254",
        "metadata.google.internal",
        "metadata.goog",
        "100.100.100.200",
        "192.0.0.192",
        "169.254.170.2",
        "metadata.azure.com",
        "instance-data",
        "fd00:ec2::254",
        "168.63.129.16",
        "metadata",
    }
)
_INSIDE_NAMES = frozenset(
    {
        "localhost",
        "ip6-localhost",
        "ip6-loopback",
        "localhost.localdomain",
        "kubernetes.default.svc",
        "host.docker.internal",
    }
)
_REBINDERS = re.compile(
    r"(?:127|10|192|169|172|localhost|7f000001|a9fea9fe).*\.(?:nip\.io|sslip\.io|xip\.io)$|(?:^"
    r"|\.)(?:localtest\.me|lvh\.me|vcap\.me|lacolhost\.com|spoofed\.burpcollaborator\.net|1u\.ms"
    r"|rbndr\.us)$"
)
_TELLING = (
    ".metadata.google.internal", ".localhost", "nip.io", "xip.io", "sslip.io", "localtest.me", "lvh.me", "vcap.me",
    "lacolhost.com", "burpcollaborator.net", "1u.ms", "rbndr.us",
)  # fmt: skip
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "::/128",
        "fc00::/7",
        "fe80::/10",
    ]
)
_SHELL = re.compile(
    r"/(?:c99|r57|wso|b374k|shell|cmd|backdoor|evil|webshell|rfi\w*)[\w-]{0,12}\.(?:txt|php\d?|jsp|aspx?|inc|gif|jpe?g)\b"
    r"|/[\w.-]{1,60}\.(?:txt|inc)(?:\?|\x00|%00)$"
)
_PORT = re.compile(r":(\d{4})(?=/|$|[?#\s])")
_DEVELOPING = frozenset("3000 3001 4000 4200 5000 5173 8000 8080 8888 9000".split())
_INNER = re.compile(
    r":\d+/(?:admin|manager|actuator|console|metrics|env|status|server-|latest|api/v1/(?:pods|nodes)|debug|jmx)"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "host.docker.internal"})
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|\d{1,12}")


def find(text: str, lower: str) -> Iterator[Finding]:
    """At most one finding, for a value that is a URL; one that stands in a sentence is not fetched by
    anybody."""
    if "\\" in lower:  # which many readers of URLs take for a slash
        lower = lower.replace("\\", "/")
    match = _URL.match(lower)
    if match is None:
        match = _RELATIVE.match(lower)
        if match is not None and _inside(match[1]) is not None:
            yield low("SSRF", text)
        return
    scheme, user, host = match.groups()
    if scheme == "jar" or (scheme in _ODD_SCHEMES and (host or scheme in ("file", "netdoc", "local_file"))):
        if " " not in lower.strip() and not (OWN_FILE.fullmatch(lower) and "/." not in lower):
            yield high("SSRF", text) if "://" in lower or scheme == "file" else low("SSRF", text)
    elif scheme in ("http", "https", "ftp") and _SHELL.search(lower) and " " not in lower.strip():
        yield low("RFI", text)
    elif scheme in _WEB_SCHEMES:
        certain = None if _is_own(text, host, user, lower[match.end() :]) else _inside(host)
        nobody = user is not None and not user[-2:-1].isalnum()  # no address of a person's in a sentence
        if certain or (certain is False and (nobody or " " not in lower.strip())):
            yield (high if certain else low)("SSRF", text)


def _is_own(text: str, host: str, user: str | None, rest: str) -> bool:
    """Whether a URL is of what a developer runs: this machine by its plain name, at a port that such servers have."""
    port = _PORT.match(rest)
    if port is None or user is not None or port[1] not in _DEVELOPING or _INNER.match(rest):
        return False
    return host in _LOOPBACK and f"://{host}:" in text


def _inside(host: str) -> bool | None:
    """True where a host is written to hide that it is inside, or holds secrets; False for an ordinary
    private one."""
    host = host.strip("[]").rstrip(".")
    if host in _METADATA:
        return True
    if host in _INSIDE_NAMES:
        return False
    if host.endswith(_TELLING):
        return _named(host)
    if not host or not (host[-1].isdigit() or ":" in host or "0x" in host):
        return None
    address, odd = _address(host)
    if address is None or not _private(address):
        return None
    return bool(address.is_link_local or odd)


def _named(host: str) -> bool | None:
    """The same of a host that ends like those that lead inside."""
    if host.endswith(".localhost"):
        return False
    return True if host.endswith(".metadata.google.internal") or _REBINDERS.search(host) else None


def _private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return any(mapped.version == network.version and mapped in network for network in _INSIDE)


def _address(host: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address | None, bool]:
    """The address that a host stands for, also as one number, in hexadecimal, octal or with parts left out;
    and whether it was written in such a way."""
    try:
        if ":" in host:
            found = ipaddress.IPv6Address(host.partition("%")[0])
            return found, found.ipv4_mapped is not None
        return ipaddress.IPv4Address(host), False
    except ValueError:
        return _inet_aton(host), True


def _inet_aton(host: str) -> ipaddress.IPv4Address | None:
    """BSD's reading of one to four numbers, as C libraries still have it."""
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    numbers = [_integer(part) for part in parts]
    if None in numbers or any(number > 255 for number in numbers[:-1] if number is not None):
        return None
    value = 0
    for index, number in enumerate(numbers[:-1]):
        value |= (number or 0) << (8 * (3 - index))
    last = numbers[-1] or 0
    return ipaddress.IPv4Address(value | last) if last < 1 << (8 * (5 - len(parts))) else None


def _integer(text: str) -> int | None:
    try:
        if text.startswith("0x"):
            return int(text, 16)
        return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
    except ValueError:
        return None
