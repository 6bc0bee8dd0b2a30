"""Whether a request was an attack: every text of it decoded, read by the detectors it may concern, and what
they found.

Pure functions without state: any thread may call them. Ordinary values are let through after one look at
the characters they are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from metlo_otel.analysis.detectors import documents, nosql, paths, shell, sql, templates, urls, xss
from metlo_otel.analysis.detectors.decoding import base64_text, decode, readings
from metlo_otel.analysis.detectors.finding import Category, Confidence, Finding

__all__ = ["CATEGORIES", "HEAD", "TAIL", "Category", "Confidence", "Finding", "detect", "inspect"]

HEAD, TAIL = 4096, 1024  # characters read of a value's beginning and end
TOTAL = 65_536  # characters read of a request
LEAST = 128  # read of each value even so
CATEGORIES: tuple[Category, ...] = (
    "SQLI",
    "XSS",
    "COMMAND_EXECUTION",
    "SSRF",
    "NULL_BYTES",
    "DIRECTORY_TRAVERSAL",
    "GRAPHQL_INTROSPECTION",
    "NOSQLI",
    "SSTI",
    "XXE",
    "LDAP_INJECTION",
    "LOG4SHELL",
    "CRLF",
)

_BY_MARKS: tuple[tuple[frozenset[str], Callable[[str, str], Iterator[Finding]]], ...] = (
    (sql.MARKS, sql.find),
    (xss.MARKS, xss.find),
    (shell.MARKS, shell.find),
    (templates.MARKS, templates.find),
    (documents.MARKS, documents.find),
    (nosql.MARKS, nosql.find),
)
_ENCODING = frozenset("%&\\+")
_SPECIAL = _ENCODING.union({"/"}, *(marks for marks, _ in _BY_MARKS))
_SQL_PHRASE = re.compile(r"\b(?:order\s+by|group\s+by|waitfor\s|procedure\s|exec\s)|(?:\b|\d)union\s+(?:all\s+)?select")
_ODD_PATH = (
    "..", "etc/", "etc\\", "-inf", "/.", "\\.", "file:", "php:", "expect:", "zip:", "phar:", "data:", "glob:",
    "compress.",
    ".ini", ".config", ".asa", "wp-", "0x2", "\\\\",
)  # fmt: skip

# Headers that speak of addresses or of the client itself: no request is forged by what stands there.
_FILES = (".xml", ".ini", ".asa")
_REMEMBERED = 300  # characters
_USUAL = frozenset(
    {"user-agent", "accept", "origin", "connection", "cache-control", "pragma", "dnt", "upgrade-insecure-requests",
     "host", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "content-type", "content-length", "sec-gpc"}
)  # fmt: skip
_USUAL_FAMILIES = ("accept-", "sec-ch-", "sec-fetch-")
_ADDRESSES = frozenset({"referer", "origin", "host", "forwarded", "via", "location", "link", "x-original-url"})


def inspect(value: str, head: int = HEAD, tail: int = TAIL) -> tuple[Finding, ...]:
    """What the detectors find in one value: each category once, high confidence first.

    Of a value longer than `head` + `tail` characters only its beginning and its end are read, so that time
    and memory are bounded by these numbers whatever the value holds.
    """
    if len(value) < 12 and value.isalnum():
        return ()
    if len(value) > head + tail:
        return _strongest([*_inspected(value[:head]), *_inspected(value[-tail:])])
    if _SPECIAL.isdisjoint(value) and value.isascii() and not _speaks(value.lower()) and not base64_text(value):
        return ()
    return _strongest(_inspected(value))


def detect(fields: Iterable[tuple[str, str]]) -> dict[str, list[Finding]]:
    """The findings of a request's fields, by the contract's keys.

    `fields` holds keys (`reqPath`, `reqQuery.q`, `reqBody.user.name`, `reqHeaders.X-Id`; a key may come
    repeatedly) and percent-decoded values. Names are read as well and reported under the same key; an
    introspection found in a value goes to its key with `.__schema` behind it, as Metlo has it. Once `TOTAL`
    characters were read, only the beginning of each further value is.
    """
    found: dict[str, list[Finding]] = {}
    seen: set[tuple[str, str]] = set()  # the items of an array are often alike
    left = TOTAL
    for field in fields:
        if field in seen:
            continue
        seen.add(field)
        key, value = field
        if len(value) > left:
            value = value[: max(left, LEAST)]
        left -= len(key) + min(len(value), HEAD + TAIL)
        for finding in _field(key, value):
            introspects = finding.category == "GRAPHQL_INTROSPECTION" and "__" not in key
            place = found.setdefault(key + ".__schema" if introspects else key, [])
            if finding not in place:
                place.append(finding)
    return found


def _field(key: str, value: str) -> Iterable[Finding]:
    section, _, name = key.partition(".")
    if section == "reqHeaders":
        return _header(name.lower(), value)
    if section == "reqPath":
        return _path(value)
    findings = inspect(value) if value else ()
    if _SPECIAL.isdisjoint(name) and "__" not in name:
        return findings
    return _strongest([*findings, *_name(name)])


def _path(value: str) -> tuple[Finding, ...]:
    """A request's path: a `..` that a client left standing is a finding here, and only here."""
    window = value[: HEAD + TAIL]
    if "/." not in window and "%" not in window and "\\" not in window:
        return inspect(value)
    return _strongest([*inspect(value), *paths.find_in_path(window, decode(window).lower())])


def _header(name: str, value: str) -> tuple[Finding, ...]:
    """Headers are written by programs, in grammars full of signs: only what is certain counts."""
    if name == "cookie":
        found = [finding for part in value.split(";", 64) for finding in _cookie(part.strip())]
    elif len(value) <= _REMEMBERED and _public(name, value):
        found = list(_usual(value))
    else:
        found = list(_certain(value))
    if name in _ADDRESSES or name.startswith("x-forwarded"):
        found = [finding for finding in found if finding.category != "SSRF"]
    return _strongest(found)


def _public(name: str, value: str) -> bool:
    """Whether a header may be remembered: no secret is ever sent in it."""
    return name in _USUAL or name.startswith(_USUAL_FAMILIES) or (name == "referer" and "?" not in value)


def _cookie(pair: str) -> Iterator[Finding]:
    name, _, value = pair.partition("=")
    yield from _certain(value)
    if not _SPECIAL.isdisjoint(name):
        yield from _certain(name)


def _certain(value: str) -> Iterator[Finding]:
    return (finding for finding in inspect(value) if finding.confidence == "high")


@lru_cache(maxsize=512)
def _usual(value: str) -> tuple[Finding, ...]:
    """What is certain in a header that the same client sends each time, its User-Agent for one."""
    return tuple(_certain(value))


def _name(name: str) -> Iterator[Finding]:
    """A parameter's or key's name."""
    if "$" in name:
        yield from nosql.find_in_name(name, name.lower())
    if "__schema" in name or "__type" in name.split("."):
        yield Finding("GRAPHQL_INTROSPECTION", "high", name[:80])
    if not _SPECIAL.isdisjoint(name):
        yield from inspect(name)


def _inspected(value: str) -> Iterator[Finding]:
    marks = _SPECIAL.intersection(value)
    if not value.isascii() and max(value) > "\u1fff":
        marks |= _ENCODING
    if marks or _speaks(value.lower()):
        for text in readings(value) if not marks.isdisjoint(_ENCODING) else (value,):
            hidden = text is not value and "../" not in value and "..\\" not in value
            yield from _read(text, marks if text is value else _SPECIAL.intersection(text), hidden)
    encoded = base64_text(value)
    if encoded is not None:
        found = _read(decode(encoded), _SPECIAL.intersection(encoded))
        yield from (finding for finding in found if finding.confidence == "high")


def _read(text: str, marks: frozenset[str], hidden: bool = False) -> Iterator[Finding]:
    """What all detectors that the text's characters may concern say of it."""
    lower = text.lower()
    if ("/" in marks or "\\" in marks or ".." in lower or lower.endswith(_FILES)) and _odd_path(lower):
        yield from paths.find(text, lower, hidden)
    if "/" in marks and ("//" in lower or ":/" in lower):
        yield from urls.find(text, lower)
    if "/" in marks and shell.MARKS.isdisjoint(marks) and (" /" in lower or "bin/" in lower or "{" in marks):
        yield from shell.find(text, lower)
    for own, detector in _BY_MARKS:
        if not own.isdisjoint(marks):
            yield from detector(text, lower)
    if sql.MARKS.isdisjoint(marks) and ("@@" in lower or _has_phrase(lower)):
        yield from sql.find(text, lower)


def _speaks(lower: str) -> bool:
    """Whether a text without any sign is more than words: a phrase of SQL, a path that climbs, a system's file."""
    return ".." in lower or "@@" in lower or lower.endswith(_FILES) or _has_phrase(lower)


def _has_phrase(lower: str) -> bool:
    return (" by" in lower or "union" in lower or "waitfor" in lower or "procedure" in lower or "exec" in lower) and (
        _SQL_PHRASE.search(lower) is not None
    )


def _odd_path(lower: str) -> bool:
    """Whether a text with a slash is more than a date, a link or a choice."""
    if lower.startswith(("/", "\\", "'/", '"/')) or lower[1:3] in (":/", ":\\"):
        return True
    for sign in _ODD_PATH:  # noqa: SIM110 - any() takes twice as long
        if sign in lower:
            return True
    return False


def _strongest(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding of each category, the surest, and those of high confidence first."""
    best: dict[str, Finding] = {}
    for finding in findings:
        known = best.get(finding.category)
        if known is None or (known.confidence == "low" and finding.confidence == "high"):
            best[finding.category] = finding
    return (
        tuple(sorted(best.values(), key=lambda finding: finding.confidence)) if len(best) > 1 else tuple(best.values())
    )
