"""Routes as the frameworks of all languages write them, as templates with `{name}` for what varies.

`:id` (Express, Rails, gin), `(.:format)` and `(/:page)` (Rails), `{id?}`, `{controller=Home}` and `{*rest}` (.NET),
`**` (Spring), `{rest...}` and a method in front (Go), `[id]` (Next.js). A route that does not describe the path is not
one of the app's: nginx tells `/`, routers of Express where they are mounted.
"""

from __future__ import annotations

import re
from functools import lru_cache

from metlo_otel.core import routes

_LONGEST = 1_000
_MOST_SEGMENTS = 40
_MOST_PLACES = 2  # in one segment: more take too long to be told apart in a hostile path
_OPTIONAL = re.compile(r"\(([^()]*)\)|\{(/[^{}]*)\}")
_CONSTRAINT = re.compile(r"(:[A-Za-z_]\w*)\((?:[^()/\\]|\\.)*\)")  # Express: `:id(\\d+)`
_METHOD = re.compile(r"[A-Z]{3,7}\s+(?=/)")
_COLON = re.compile(r":([A-Za-z_]\w*)([?*+]?)")
_BRACES = re.compile(r"\{(\*{0,2})([^{}:=?.]*)([^{}]*)\}")
_BRACKETS = re.compile(r"\[{1,2}(\.\.\.)?([^\[\].]+)\]{1,2}")
_STARS = re.compile(r"\*{1,2}(\w*)")
_SPANS = re.compile(r":(?:path|\.[*+]\??)$|^\.\.\.$")
_PLACE = re.compile(r"\{([^{}:]*)(:path)?\}")
_REGEX = re.compile(r"^\^|\\|\(\?|\$$")


def template(route: str, path: str) -> str | None:
    """The template that `route` is, which describes `path`; None where it does not."""
    if max(len(route), len(path)) > _LONGEST:
        return None
    for found, pattern in _readings(route):
        if pattern.fullmatch(path):
            return routes.bare(found)
        if found != "/" and (prefix := _prefix(path, found)) and pattern.fullmatch(path[len(prefix) :]):
            return routes.bare(prefix + found)
    return None


def alone(route: str) -> str | None:
    """The template that `route` is, where no path is known."""
    found = _readings(route) if len(route) <= _LONGEST else ()
    return routes.bare(found[0][0]) if found else None


def _prefix(path: str, found: str) -> str:
    """What stands before a route in a path with more segments: where the app is mounted."""
    if ":path}" in found:
        return ""
    segments = path.split("/")
    more = len(segments) - found.count("/") - 1
    return "/".join(segments[: more + 1]) if more > 0 and found.count("{") < found.count("/") else ""


@lru_cache(maxsize=4096)
def _readings(route: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The templates that a route stands for, the longest first, each with what it describes."""
    route = _CONSTRAINT.sub(r"\1", _METHOD.sub("", route.strip(), count=1))
    if _REGEX.search(route) or "<" in route:
        found = routes.template(route)
        return ((found, _described(found)),) if found else ()
    if "//" in route or not route or route.count("/") > _MOST_SEGMENTS:
        return ()
    readings = []
    for each in _choices(route.replace("(.:format)", "")):
        segments, optional = _segments(each)
        lengths = range(len(segments), len(segments) - optional - 1, -1)
        readings += ["/" + "/".join(segments[:length]) for length in lengths]
    useful = [each for each in dict.fromkeys(readings) if _is_useful(each)]
    return tuple((each, _described(each)) for each in useful)


def _is_useful(found: str) -> bool:
    """Whether a template says more than that there is a path, and can be looked for in little time."""
    places = [len(_PLACE.findall(segment)) for segment in found.split("/")]
    only_rest = _PLACE.fullmatch(found[1:]) and ":path}" in found
    return not only_rest and found.count(":path}") <= 1 and max(places) <= _MOST_PLACES


def _choices(route: str, groups: int = 4) -> list[str]:
    """The route with its optional groups, and without them from the last one on."""
    found = list(_OPTIONAL.finditer(route))
    if not found or not groups:
        return [route]
    group = found[-1]
    before, inner, after = route[: group.start()], group[1] or group[2] or "", route[group.end() :]
    return [*_choices(before + inner + after, groups - 1), *_choices(before + after, groups - 1)]


def _segments(route: str) -> tuple[list[str], int]:
    """Segments with their places named, and how many at the end may be left out."""
    segments, optional = [], 0
    pieces = route.strip("/").split("/") if route.strip("/") else []
    for piece in pieces:
        if piece == "{$}":
            continue
        written, may_miss = _segment(piece)
        optional = optional + 1 if may_miss else 0
        segments.append(written)
    if route.endswith("/") and segments:
        segments.append("")
    return segments, optional


def _segment(piece: str) -> tuple[str, bool]:
    may_miss = bool(re.search(r"\?\}?$|=[^{}]*\}$", piece)) and piece[:1] in ":{"
    if piece.startswith("[") and piece.endswith("]"):
        return _BRACKETS.sub(lambda each: _place(each[2], bool(each[1])), piece), piece.startswith("[[")
    if piece[:1] == "*":
        return _STARS.sub(lambda each: _place(each[1] or "rest", True), piece, count=1), False
    piece = _BRACES.sub(lambda each: _place(each[2], bool(each[1] or _SPANS.search(each[3]))), piece)
    return _COLON.sub(
        lambda each: _place(each[1], each[2] in ("*", "+")), piece
    ) if "{" not in piece else piece, may_miss


def _place(name: str, spans: bool) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "param"
    plain = plain if plain[0].isalpha() or plain[0] == "_" else "p" + plain
    return "{" + plain + (":path}" if spans else "}")


@lru_cache(maxsize=4096)
def _described(found: str) -> re.Pattern[str]:
    parts = []
    for segment in found.split("/"):
        pieces = _PLACE.split(segment)  # text, name, whether it spans, text and so on
        texts = [re.escape(text) for text in pieces[::3]]
        places = [".*" if spans else "[^/]+" for spans in pieces[2::3]]
        parts.append("".join(text + place for text, place in zip(texts, [*places, ""], strict=True)))
    return re.compile("/".join(parts) + "/?", re.DOTALL | re.IGNORECASE)
