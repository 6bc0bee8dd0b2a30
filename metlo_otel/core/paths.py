"""The readings of a path: everything that a server, a framework or an app may take one request's path for."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

Spelling = tuple[str, ...]
"""One path, without the slash at its end, as seen with and without the mount point of the app."""

Paths = tuple[Spelling, ...]
"""The spellings of one path; nearly all paths have only one."""

_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^/]*")  # of a target in absolute form, its slashes merged or not
_SLASHES = re.compile("/{2,}")
_HEX = re.compile("%[0-9A-Fa-f]{2}")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_END = re.compile("[?#]")
_TAKEN_OUT = dict.fromkeys(map(ord, "\t\r\n"))
_SAFE = "/:@!$&'()*+,;=~"
_TIMES = 2  # that a path is decoded once more: by a proxy's rewriting, and by an app

_MOST_PLAIN, _LONGEST_PLAIN = 1024, 200
PLAIN_PATHS: dict[str, str] = {}
"""Paths that were asked for before and have one spelling, by how they came; some hundred, by plain_path() alone."""


def plain_path(path: str) -> str | None:
    """The path without a slash at its end where it has one spelling, as nearly all have; else None."""
    odd = "//" in path or "/." in path or "%" in path or "?" in path or "#" in path
    if odd or not path.isascii() or not path.isprintable():
        return None
    plain = path.rstrip("/")
    if len(path) <= _LONGEST_PLAIN:
        if len(PLAIN_PATHS) >= _MOST_PLAIN:
            PLAIN_PATHS.clear()
        PLAIN_PATHS[path] = plain
    return plain


def readings(path: str, mount: str = "") -> Paths:
    """The spellings of a decoded path; `mount` is where the app is mounted, which `path` may begin with or not."""
    if not mount:
        return spelled((path,))
    inner = path[len(mount) :] if path.startswith(mount) and path[len(mount) :][:1] in ("", "/") else None
    if inner is not None:
        return spelled((path, inner))
    return spelled((path, f"{mount.rstrip('/')}/{path.lstrip('/')}"))


def spelled(paths: Spelling, *others: Spelling) -> Paths:
    """All spellings of paths that are the same one, and of `others` that come from the same bytes."""
    found: dict[Spelling, None] = {}
    for spelling in dict.fromkeys((paths, *others, *[_each(_as_url, each) for each in (paths, *others)])):
        for _ in range(_TIMES + 1):
            for made in (spelling, _each(_merged, spelling), _each(_resolved, spelling)):
                found[_each(_bare, made)] = None
            if not any("%" in path for path in spelling):
                break
            spelling = _each(unquote, spelling)
    return tuple(found)


def from_bytes(raw: bytes) -> tuple[str, ...]:
    """The ways to read bytes of a path that are not all UTF-8: what is wrong replaced, percent-encoded (Django), or
    everything as Latin-1.
    """
    return raw.decode("utf-8", "replace"), requoted(raw), raw.decode("latin-1")


def requoted(raw: bytes) -> str:
    """The text of bytes, those that are no UTF-8 percent-encoded."""
    return _ESCAPED.sub(lambda match: "%" + match[1].upper(), raw.decode("utf-8", "backslashreplace"))


def as_sent(target: str, path: str) -> tuple[str, ...]:
    """The path still percent-encoded, hexadecimal digits in upper case: from the request's target, where the server
    gives it, else `path` encoded anew.
    """
    sent = target.partition("?")[0] or quote(path, _SAFE)
    return tuple(dict.fromkeys([_bare(upper_hex(sent)), _bare(upper_hex(_AUTHORITY.sub("", sent, count=1)))]))


def upper_hex(text: str) -> str:
    """The text with its percent-encodings in one spelling."""
    return _HEX.sub(lambda match: match[0].upper(), text) if "%" in text else text


def _each(change: Callable[[str], str], spelling: Spelling) -> Spelling:
    return tuple([change(path) for path in spelling])


def _bare(path: str) -> str:
    return path.rstrip("/")


def _as_url(path: str) -> str:
    """What urlsplit() leaves of a decoded path, and so request.url of older Starlettes; routes of Starlette overlook a
    line feed at the end.
    """
    return _END.split(path.translate(_TAKEN_OUT), maxsplit=1)[0]


def _merged(path: str) -> str:
    return _SLASHES.sub("/", _AUTHORITY.sub("", path, count=1) if ":" in path and path[:1] != "/" else path)


def _resolved(path: str) -> str:
    """Slashes merged, and `.` and `..` gone as RFC 3986 has it (5.2.4)."""
    merged = _merged(path)
    if "/." not in merged:
        return merged
    kept: list[str] = []
    for step in merged.split("/"):
        if step == "..":
            del kept[max(1, len(kept) - 1) :]
        elif step != ".":
            kept.append(step)
    return "/".join(kept)
