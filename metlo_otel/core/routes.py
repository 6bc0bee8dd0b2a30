"""A framework's route, in any of their notations, as a template with `{name}` for what varies.

Within the agent one that may span several segments is `{name:path}`; bare() is what is sent of it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLACE = re.compile(r"<(?:([^<>]*):)?\s*([A-Za-z_]\w*)\s*>|\{([A-Za-z_]\w*)(?::([^{}]*))?\}")
_SPANNING = frozenset({"path", ".*", ".+", ".*?", ".+?"})  # converters, and patterns, that take slashes too
_REGEX = re.compile(r"[\^$\\]|\(\?")
_GROUP = re.compile(r"\(\?P<([A-Za-z_]\w*)>")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
_PART = re.compile(r"\{[^/]*?(:path)?\}")
_FORBIDDEN = re.compile(r"[\\?<>&=\x00-\x20\x7f]")


@lru_cache(maxsize=2048)
def template(route: str) -> str | None:
    """`/users/{id}` for `users/<int:id>`, `/users/{id:int}` or `^users/(?P<id>[0-9]+)$`; None if it cannot be told."""
    plain = _without_regex(route) if _REGEX.search(route) else route
    if plain is None:
        return None
    found = "/" + _PLACE.sub(_place, plain).lstrip("/")
    return None if _FORBIDDEN.search(found) else found


def bare(template: str) -> str:
    """The template with every `{name}` alike."""
    return template.replace(":path}", "}")


def fits(template: str, path: str) -> bool:
    """Whether the template describes `path`, or another template: each `{name}` is one whole segment that is not
    empty, or more where it says so.
    """
    return _described(template).fullmatch(path) is not None


@lru_cache(maxsize=2048)
def _described(template: str) -> re.Pattern[str]:
    """Paths that this template describes; a name that is but a part of a segment stands for itself."""
    parts = []
    for part in template.split("/"):
        place = _PART.fullmatch(part)
        parts.append(re.escape(part) if place is None else ".*" if place[1] else "[^/]+")
    return re.compile("/".join(parts), re.DOTALL)


def _place(match: re.Match[str]) -> str:
    converter = (match[1] or match[4] or "").strip()
    return "{" + (match[2] or match[3]) + (":path}" if converter in _SPANNING else "}")


def _without_regex(route: str) -> str | None:
    """A regex route with its named groups as `{name}`, anchors and an optional last slash's `?` gone."""
    parts: list[str | None] = []
    position = 0
    while match := _GROUP.search(route, position):
        end = _group_end(route, match.end())
        if end is None:
            return None
        pattern = route[match.end() : end - 1]
        name = "{" + match[1] + (":path}" if pattern in _SPANNING else "}")
        parts += [_literal(route[position : match.start()]), name]
        position = end
    parts.append(_literal(route[position:]))
    return None if None in parts else "".join(part for part in parts if part)


def _group_end(route: str, position: int) -> int | None:
    """Where the group ends that was opened before `position`."""
    depth, within_class = 1, False
    while position < len(route):
        char = route[position]
        if char == "\\":
            position += 1
        elif within_class:
            within_class = char != "]"
        elif char == "[":
            within_class = True
            position += route[position + 1 : position + 2] in ("]", "^")
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth == 0:
                return position + 1
        position += 1
    return None


def _literal(piece: str) -> str | None:
    """The text that a piece of a regex without groups stands for, if it is one."""
    piece = piece.replace("\\A", "").replace("\\Z", "").replace("^", "").replace("$", "")
    if piece.endswith("/?"):
        piece = piece[:-1]
    bare = _ESCAPED.sub("", piece)
    return None if re.search(r"[\\()\[\]*+?|]", bare) else _ESCAPED.sub(r"\1", piece)
