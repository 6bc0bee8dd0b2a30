"""Hosts as senders write them, as one name: original Django agents put a scheme before it, Node writes IPv4 in IPv6."""

from __future__ import annotations

import re

_MAPPED = re.compile(r"::ffff:(\d{1,3}(?:\.\d{1,3}){3})", re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_PATTERN_SCHEME = re.compile(
    r"(?:\^|\\A)?(?:http(?:s|s\?|\[s\]\?|\(s\)\?|\(\?:s\)\?)?|\((?:\?:)?https?\|https?\)):(?:\\?/){2}"
)


def bare_host(host: str) -> str:
    """`shop.example:8000` of `http://shop.example:8000/`, `127.0.0.1` of `::ffff:127.0.0.1`; any other as it is."""
    if "/" in host and (scheme := _SCHEME.match(host)):
        host = host[scheme.end() :].partition("/")[0] or host
    if ":" in host and (mapped := _MAPPED.match(host.lstrip("["))):
        rest = host.lstrip("[")[mapped.end() :].lstrip("]")
        return mapped[1] + rest
    return host


def bare_pattern(pattern: str) -> str:
    r"""A regex for hosts without the scheme that it begins with: `^shop\.` of `^https?://shop\.`."""
    scheme = _PATTERN_SCHEME.match(pattern)
    return "^" + pattern[scheme.end() :] if scheme else pattern
