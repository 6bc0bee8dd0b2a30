"""Whether a request was an attack: what is found in every text of it, by the place where it stood.

Pure functions without state: any thread may call them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from metlo_otel.analysis.attack_values import HEAD, SPECIAL, TAIL, in_header, inspect, strongest
from metlo_otel.analysis.detectors import files, nosql, objects, paths, tools
from metlo_otel.analysis.detectors.decoding import decode
from metlo_otel.analysis.detectors.finding import Confidence, Finding
from metlo_otel.analysis.nested import leaves
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.cookies import pieces, unescaped
from metlo_otel.reading.credentials import basic

__all__ = ["HEAD", "TAIL", "Confidence", "Finding", "detect", "find", "inspect"]

TOTAL = 262_144  # characters read of a request: MAX_INSPECT in several readings, and all before the body
LEAST = 128  # read of each value even so
_REMEMBERED = 300  # characters
_SEGMENTS, _LONG_SEGMENT = 64, 11  # of a path that are read, and characters of one that may be encoded
_HOLDING = frozenset('{["<=')  # one of these stands in what holds values
_SEARCH = re.compile(
    r"https?://(?:[\w-]+\.){0,3}(?:google|bing|duckduckgo|yahoo|yandex|baidu|ecosia|startpage|qwant|brave)\.[a-z.]{2,7}/"
)
_STEP = 8  # short fields between two questions whether the time is over
_MANY = 1000  # fields and keys that are remembered: they are not looked at again
_WORD = 12  # characters below which letters and digits alone tell nothing, as for inspect()
_USUAL = frozenset(
    {"user-agent", "accept", "origin", "connection", "cache-control", "pragma", "dnt", "upgrade-insecure-requests",
     "host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "content-type", "content-length", "sec-gpc"}
)  # fmt: skip
_KNOWN = frozenset(
    {"authorization", "cookie", "referer", "user-agent", "content-disposition", "content-security-policy", "link",
     "via", "forwarded", "if-none-match", "if-match", "etag", "x-forwarded-for", "baggage", "tracestate", "traceparent",
     "warning"}
)  # fmt: skip
_CREDENTIALS = ("authorization", "proxy-authorization")
_ADDRESS = re.compile(r"https?://[\w.:-]+/[^\s'\"<>()`]*")
_USUAL_FAMILIES = ("accept-", "sec-ch-", "sec-fetch-")
# Headers that speak of addresses or of the client itself: no request is forged by what stands there.
_ADDRESSES = frozenset({"referer", "origin", "host", "forwarded", "via", "location", "link", "x-original-url"})


def detect(fields: Iterable[tuple[str, str]], turn: Turn = no_turn) -> dict[str, list[Finding]]:
    """The findings of a request's fields, by the contract's keys; as find()."""
    found: dict[str, list[Finding]] = {}
    for key, finding in find(fields, turn):
        place = found.setdefault(key, [])
        if finding not in place:
            place.append(finding)
    return found


def find(fields: Iterable[tuple[str, str]], is_over: Turn = no_turn) -> Iterator[tuple[str, Finding]]:
    """Each finding under its key, as it is found, until `is_over`.

    `fields` holds keys (`reqPath`, `reqQuery.q`, `reqBody.user.name`, `reqHeaders.X-Id`; a key may come
    repeatedly) and percent-decoded values. Names are read as well and reported under the same key; an
    introspection found in a value goes to its key with `.__schema` behind it, as Metlo has it. Once `TOTAL`
    characters were read, only the beginning of each further value is.
    """
    seen: set[str | tuple[str, str]] = set()  # the items of an array are often alike
    left = TOTAL
    for count, field in enumerate(fields):
        if count % _STEP == _STEP - 1 and is_over():
            return
        key, value = field
        if key in seen and (not value or (len(value) < _WORD and value.isalnum()) or field in seen):
            continue
        if len(seen) >= _MANY:
            seen.clear()
        seen.add(key)
        seen.add(field)
        if len(value) > left:
            value = value[: max(left, LEAST)]
        left -= len(key) + len(value)
        for finding in _field(key, value, is_over):
            introspects = finding.category == "GRAPHQL_INTROSPECTION" and "__" not in key
            yield (key + ".__schema" if introspects else key), finding
        if len(value) > _REMEMBERED and is_over():
            return


def _field(key: str, value: str, is_over: Turn) -> Iterable[Finding]:
    section, _, name = key.partition(".")
    if section == "reqHeaders":
        return _header(name.lower(), value)
    if section == "reqPath":
        return _path(value)
    findings: Iterable[Finding] = inspect(value, is_over) if value else ()
    if not _HOLDING.isdisjoint(value) or value[:1].isspace():
        findings = strongest([*findings, *_nested(value, is_over)])
    if SPECIAL.isdisjoint(name) and "__" not in name and "lass" not in name:
        return findings
    return strongest([*findings, *_name(name)])


def _nested(value: str, is_over: Turn) -> Iterator[Finding]:
    """What is found in the values inside a value."""
    for leaf in leaves(value):
        yield from inspect(leaf, is_over)
        if is_over():
            return


def _path(value: str) -> tuple[Finding, ...]:
    """A request's path: a `..` that a client left standing is a finding here, and only here."""
    window = value[: HEAD + TAIL]
    lower = window.lower()
    found = [*inspect(value), *files.find_in_path(window, lower)]
    if not found and ("\\" in window or not window.isascii() or "%" in window):
        found += files.find_in_path(window, decode(window).lower())
    for segment in value.split("/")[1:_SEGMENTS]:
        if segment != value[1:] or not SPECIAL.isdisjoint(segment) or len(segment) > _LONG_SEGMENT:
            found += inspect(segment)
    if "/." in window or "%" in window or "\\" in window:
        found += paths.find_in_path(window, decode(window).lower())
    return strongest(found)


def _header(name: str, value: str) -> Iterable[Finding]:
    """Headers are written by programs, in grammars full of signs: only what is certain counts."""
    if name == "referer" and _SEARCH.match(value):
        value = value.partition("?")[0]  # what somebody looked for elsewhere
    if name == "cookie":
        found: Iterable[Finding] = [each for name, said, _ in pieces(value) for each in _cookie(name, said)]
    elif name in _CREDENTIALS and (given := basic(value)) is not None:
        found = [each for said in given for each in _certain(said)]
    elif len(value) <= _REMEMBERED and _public(name, value):
        found = _usual(name, value)
    elif name in _KNOWN or name.startswith(_USUAL_FAMILIES):
        found = _certain(value)
    else:
        found = in_header(value)
    if not found:
        return ()
    if name == "referer" and _ADDRESS.fullmatch(value):  # what somebody asked of another site, a search for example
        found = [finding for finding in found if finding.category not in ("SQLI", "XSS")]
    if name in _ADDRESSES or name.startswith("x-forwarded"):
        found = [finding for finding in found if finding.category != "SSRF"]
    return strongest(found)


def _public(name: str, value: str) -> bool:
    """Whether a header may be remembered: no secret is ever sent in it."""
    return name in _USUAL or name.startswith(_USUAL_FAMILIES) or (name == "referer" and "?" not in value)


def _cookie(name: str, value: str) -> Iterator[Finding]:
    yield from in_header(value)
    if "\\" in value:
        yield from _certain(unescaped(value.strip('"')))
    if not SPECIAL.isdisjoint(name):
        yield from _certain(name)


def _certain(value: str) -> tuple[Finding, ...]:
    found = inspect(value)
    return tuple([finding for finding in found if finding.confidence == "high"]) if found else ()


@lru_cache(maxsize=512)
def _usual(name: str, value: str) -> tuple[Finding, ...]:
    """What is certain in a header that the same client sends each time, its User-Agent for one."""
    found = _certain(value)
    return strongest([*found, *tools.find_in_agent(value)]) if name == "user-agent" else found


def _name(name: str) -> Iterator[Finding]:
    """A parameter's or key's name."""
    if "$" in name:
        yield from nosql.find_in_name(name, name.lower())
    if "proto" in name or "lass" in name:
        yield from objects.find_in_name(name, name.lower())
    if "__schema" in name or "__type" in name.split("."):
        yield Finding("GRAPHQL_INTROSPECTION", "high", name[:80])
    if not SPECIAL.isdisjoint(name):
        yield from inspect(name)
